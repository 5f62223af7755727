#include "COpenSSL.h"

#include <stdlib.h>
#include <string.h>

struct adit_pipe {
    SSL *ssl;
    bool keeps_buffers;

    const uint8_t *input;
    size_t input_count;

    uint8_t *region;
    size_t region_capacity;
    size_t region_count;

    uint8_t *spill;
    size_t spill_capacity;
    size_t spill_start;
    size_t spill_count;
    bool failed;
};

// MARK: - Input

// OpenSSL gives a buffer back as soon as it is empty, so that an idle connection holds none. While there is more input
// than a record, that would be once for each.
static void keep_buffers(adit_pipe *pipe, bool keep) {
    if (pipe->keeps_buffers == keep)
        return;
    pipe->keeps_buffers = keep;
    if (keep) {
        SSL_clear_mode(pipe->ssl, SSL_MODE_RELEASE_BUFFERS);
        // OpenSSL 3.2 and later hand on to the record layer only what is set.
        SSL_set_mode(pipe->ssl, 0);
    } else {
        SSL_set_mode(pipe->ssl, SSL_MODE_RELEASE_BUFFERS);
    }
}

bool adit_pipe_feed(adit_pipe *pipe, const void *bytes, size_t count) {
    if (pipe->input_count != 0)
        return false;
    pipe->input = bytes;
    pipe->input_count = count;
    // Not while the peer is nobody yet: what is written to it would keep its buffer too.
    if (count > SSL3_RT_MAX_PLAIN_LENGTH && SSL_is_init_finished(pipe->ssl))
        keep_buffers(pipe, true);
    return true;
}

void adit_pipe_discard_input(adit_pipe *pipe) {
    pipe->input = NULL;
    pipe->input_count = 0;
}

bool adit_pipe_is_empty(const adit_pipe *pipe) {
    return pipe->input_count == 0 && !pipe->keeps_buffers && !SSL_has_pending(pipe->ssl);
}

// MARK: - Output

static void release_empty_spill(adit_pipe *pipe) {
    if (pipe->spill_count != 0)
        return;
    free(pipe->spill);
    pipe->spill = NULL;
    pipe->spill_capacity = 0;
    pipe->spill_start = 0;
}

static bool reserve_spill(adit_pipe *pipe, size_t count) {
    if (count > ADIT_PIPE_SPILL_LIMIT - pipe->spill_count)
        return false;
    if (pipe->spill_start != 0) {
        memmove(pipe->spill, pipe->spill + pipe->spill_start, pipe->spill_count);
        pipe->spill_start = 0;
    }
    size_t needed = pipe->spill_count + count;
    if (needed <= pipe->spill_capacity)
        return true;
    size_t capacity = pipe->spill_capacity == 0 ? 1024 : pipe->spill_capacity;
    while (capacity < needed)
        capacity *= 2;
    uint8_t *grown = realloc(pipe->spill, capacity);
    if (grown == NULL)
        return false;
    pipe->spill = grown;
    pipe->spill_capacity = capacity;
    return true;
}

static bool append_to_spill(adit_pipe *pipe, const uint8_t *bytes, size_t count) {
    if (count == 0)
        return true;
    if (!reserve_spill(pipe, count)) {
        pipe->failed = true;
        return false;
    }
    memcpy(pipe->spill + pipe->spill_count, bytes, count);
    pipe->spill_count += count;
    return true;
}

static bool append_output(adit_pipe *pipe, const uint8_t *bytes, size_t count) {
    size_t room = pipe->spill_count == 0 ? pipe->region_capacity - pipe->region_count : 0;
    size_t direct = count < room ? count : room;
    // The spill first: what it refuses must not half stand in the region.
    if (!append_to_spill(pipe, bytes + direct, count - direct))
        return false;
    if (direct != 0) {
        memcpy(pipe->region + pipe->region_count, bytes, direct);
        pipe->region_count += direct;
    }
    return true;
}

void adit_pipe_set_region(adit_pipe *pipe, void *bytes, size_t capacity) {
    keep_buffers(pipe, false);
    pipe->region = bytes;
    pipe->region_capacity = capacity;
    pipe->region_count = adit_pipe_drain(pipe, bytes, capacity);
}

size_t adit_pipe_end_region(adit_pipe *pipe) {
    size_t count = pipe->region_count;
    pipe->region = NULL;
    pipe->region_capacity = 0;
    pipe->region_count = 0;
    return count;
}

size_t adit_pipe_pending(const adit_pipe *pipe) {
    return pipe->spill_count;
}

size_t adit_pipe_drain(adit_pipe *pipe, void *bytes, size_t capacity) {
    size_t count = capacity < pipe->spill_count ? capacity : pipe->spill_count;
    if (count == 0)
        return 0;
    memcpy(bytes, pipe->spill + pipe->spill_start, count);
    pipe->spill_start += count;
    pipe->spill_count -= count;
    release_empty_spill(pipe);
    return count;
}

bool adit_pipe_failed(const adit_pipe *pipe) {
    return pipe->failed;
}

// MARK: - BIO

static int bio_create(BIO *bio) {
    adit_pipe *pipe = calloc(1, sizeof *pipe);
    if (pipe == NULL)
        return 0;
    BIO_set_data(bio, pipe);
    BIO_set_init(bio, 1);
    return 1;
}

static int bio_destroy(BIO *bio) {
    adit_pipe *pipe = BIO_get_data(bio);
    if (pipe != NULL)
        free(pipe->spill);
    free(pipe);
    BIO_set_data(bio, NULL);
    return 1;
}

static int bio_read(BIO *bio, char *bytes, int capacity) {
    adit_pipe *pipe = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (capacity <= 0)
        return 0;
    if (pipe->input_count == 0) {
        // OpenSSL looks at it after this call.
        keep_buffers(pipe, false);
        // Never end of file: whether the peer may stop here is for the reader of the plaintext to judge.
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t count = (size_t)capacity < pipe->input_count ? (size_t)capacity : pipe->input_count;
    memcpy(bytes, pipe->input, count);
    pipe->input += count;
    pipe->input_count -= count;
    return (int)count;
}

static int bio_write(BIO *bio, const char *bytes, int count) {
    adit_pipe *pipe = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (count <= 0)
        return 0;
    return append_output(pipe, (const uint8_t *)bytes, (size_t)count) ? count : -1;
}

static long bio_control(BIO *bio, int command, long number, void *pointer) {
    (void)bio, (void)number, (void)pointer;
    switch (command) {
    case BIO_CTRL_FLUSH:
    case BIO_CTRL_DUP:
        return 1;
    default:
        return 0;
    }
}

static BIO_METHOD *method;
static CRYPTO_ONCE method_once = CRYPTO_ONCE_STATIC_INIT;

static void make_method(void) {
    BIO_METHOD *made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "adit pipe");
    if (made == NULL)
        return;
    BIO_meth_set_create(made, bio_create);
    BIO_meth_set_destroy(made, bio_destroy);
    BIO_meth_set_read(made, bio_read);
    BIO_meth_set_write(made, bio_write);
    BIO_meth_set_ctrl(made, bio_control);
    method = made;
}

adit_pipe *adit_pipe_connect(SSL *ssl) {
    if (CRYPTO_THREAD_run_once(&method_once, make_method) != 1 || method == NULL)
        return NULL;
    BIO *bio = BIO_new(method);
    if (bio == NULL)
        return NULL;
    adit_pipe *pipe = BIO_get_data(bio);
    pipe->ssl = ssl;
    SSL_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
    SSL_set_bio(ssl, bio, bio);
    return pipe;
}
