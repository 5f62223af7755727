// What ThreadSanitizer cannot see because Swift's own libraries are built without it, and would report as races: that
// who takes a contended lock, or goes on after a continuation, does so after somebody else let it. Nothing is silenced
// here; what is guarded by neither is reported as ever. deploy/sanitize links this with `--wrap`, by which calls to a
// function come to the one that is named __wrap_ here. For Swift 6.3.
#include <stdint.h>

#define wrapped(name) __wrap_##name
#define real(name) __real_##name
#define in_swift __attribute__((swiftcall))
#define in_async_swift __attribute__((swiftasynccall))
#define self __attribute__((swift_context))
#define async_context __attribute__((swift_async_context))

void __tsan_acquire(void *);
void __tsan_release(void *);

// Synchronization.Mutex. The uncontended case is inlined into our code, where its atomic operations on the lock's word
// are seen; the contended one is a call of these two, which wait in the kernel and wake others there.

#define lock_slowly $s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF
#define unlock_slowly $s15Synchronization12_MutexHandleV11_unlockSlowyyF
#define wrapped_name(name) wrapped(name)
#define real_name(name) real(name)

in_swift void real_name(lock_slowly)(uint32_t thread, self uint32_t *lock);
in_swift void real_name(unlock_slowly)(self uint32_t *lock);

in_swift void wrapped_name(lock_slowly)(uint32_t thread, self uint32_t *lock) {
    real_name(lock_slowly)(thread, lock);
    __tsan_acquire(lock);
}

in_swift void wrapped_name(unlock_slowly)(self uint32_t *lock) {
    __tsan_release(lock);
    real_name(unlock_slowly)(lock);
}

// Continuations. The runtime tells ThreadSanitizer that a continuation is resumed (a release of its task), and that a
// task that was suspended runs again (an acquire). A task whose continuation was resumed before it had come to await it
// is not suspended, and goes on without the acquire.

struct task;
struct continuation_context;
typedef in_async_swift void resumption(async_context struct continuation_context *);

// The beginning of the runtime's ContinuationAsyncContext. Of its flags the lowest byte is in use.
struct continuation_context {
    void *parent;
    resumption *resume;
    uintptr_t flags;
};

in_swift struct task *swift_task_getCurrent(void);
in_swift struct task *real(swift_continuation_init)(struct continuation_context *, uintptr_t flags);

static in_async_swift void acquire_and_resume(async_context struct continuation_context *context) {
    context->resume = (resumption *)(context->flags >> 8);
    context->flags &= 0xff;
    __tsan_acquire(swift_task_getCurrent());
    __attribute__((musttail)) return context->resume(context);
}

in_swift struct task *wrapped(swift_continuation_init)(struct continuation_context *context, uintptr_t flags) {
    uintptr_t resume = (uintptr_t)context->resume;
    context->resume = acquire_and_resume;
    struct task *task = real(swift_continuation_init)(context, flags);
    context->flags |= resume << 8;
    return task;
}
