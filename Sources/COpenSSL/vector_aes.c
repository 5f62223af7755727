// AES-128-GCM for TLS records by libIPSec_MB, as a provider inside this process.
//
// OpenSSL 3.0 has an instruction for each AES block where a processor with AVX-512 and VAES has one for four; 3.1 was the
// first to do better. The library does, and takes a third of the time for a record. It is used when the header was there
// to build with and the same version of it is there to run with; otherwise all stays OpenSSL's.

#include "COpenSSL.h"

#if defined(__linux__) && defined(__x86_64__) && __has_include(<intel-ipsec-mb.h>)
#include <intel-ipsec-mb.h>
#endif

// The first version that tests itself.
#if defined(IMB_VERSION_NUM) && IMB_VERSION_NUM >= 0x10300

#include <dlfcn.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

// NIST SP 800-38D, with the sizes of RFC 5116 §5.1; additional data is the five bytes of RFC 8446 §5.2.
enum { key_bytes = 16, iv_bytes = 12, tag_bytes = 16, additional_bytes = 5 };

// The library's functions for this processor. Written once, before the provider is known to anybody.
static struct {
    aes_gcm_pre_t expand_key;
    aes_gcm_enc_dec_t encrypt, decrypt;
} aes;

// MARK: - Cipher

//     waiting ──IV──► ready ──text──► done ──final──► waiting
//
// Made for records: at most five bytes of additional data, then all text in one piece, which the library does at once. What
// TLS never does is refused. An IV serves for one message: without a new one nothing is encrypted any more.
typedef struct {
    // The library was built with this alignment, which its header does not show to others.
    alignas(64) struct gcm_key_data key;
    uint8_t iv[iv_bytes];
    uint8_t additional[additional_bytes];
    uint8_t additional_count;
    // Of the last message that was encrypted or decrypted.
    uint8_t tag[tag_bytes];
    // Decrypting: what the message must have.
    uint8_t expected_tag[tag_bytes];
    enum { waiting, ready, done } state;
    bool encrypts, has_key, has_tag, has_expected_tag;
} cipher;

static void *make_cipher(void *provider) {
    (void)provider;
    cipher *c = aligned_alloc(alignof(cipher), sizeof(cipher));
    if (c != NULL)
        memset(c, 0, sizeof(*c));
    return c;
}

static void free_cipher(void *context) {
    if (context != NULL)
        OPENSSL_cleanse(context, sizeof(cipher));
    free(context);
}

static int set_expected_tag(cipher *c, const OSSL_PARAM *p) {
    if (p->data_type != OSSL_PARAM_OCTET_STRING || p->data_size != tag_bytes)
        return 0;
    // Without a tag it is about the length alone.
    if (p->data == NULL)
        return 1;
    if (c->encrypts)
        return 0;
    memcpy(c->expected_tag, p->data, tag_bytes);
    c->has_expected_tag = true;
    return 1;
}

static int set_cipher_parameters(void *context, const OSSL_PARAM parameters[]) {
    for (const OSSL_PARAM *p = parameters; p != NULL && p->key != NULL; p++) {
        size_t count = 0;
        if (strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TAG) == 0) {
            if (!set_expected_tag(context, p))
                return 0;
        } else if (strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_IVLEN) == 0) {
            if (!OSSL_PARAM_get_size_t(p, &count) || count != iv_bytes)
                return 0;
        }
    }
    return 1;
}

static int begin(cipher *c, bool encrypts, const unsigned char *key, size_t key_count, const unsigned char *iv,
                 size_t iv_count, const OSSL_PARAM parameters[]) {
    c->encrypts = encrypts;
    c->has_tag = false;
    c->has_expected_tag = false;
    c->additional_count = 0;
    c->state = waiting;
    if (key != NULL) {
        if (key_count != key_bytes)
            return 0;
        aes.expand_key(key, &c->key);
        c->has_key = true;
    }
    if (iv != NULL) {
        if (iv_count != iv_bytes || !c->has_key)
            return 0;
        memcpy(c->iv, iv, iv_bytes);
        c->state = ready;
    }
    return set_cipher_parameters(c, parameters);
}

static int begin_encryption(void *context, const unsigned char *key, size_t key_count, const unsigned char *iv,
                            size_t iv_count, const OSSL_PARAM parameters[]) {
    return begin(context, true, key, key_count, iv, iv_count, parameters);
}

static int begin_decryption(void *context, const unsigned char *key, size_t key_count, const unsigned char *iv,
                            size_t iv_count, const OSSL_PARAM parameters[]) {
    return begin(context, false, key, key_count, iv, iv_count, parameters);
}

static void run(cipher *c, uint8_t *output, const uint8_t *input, size_t count) {
    struct gcm_context_data message;
    (c->encrypts ? aes.encrypt : aes.decrypt)(&c->key, &message, output, input, count, c->iv, c->additional,
                                              c->additional_count, c->tag, tag_bytes);
    c->state = done;
}

// Additional data has no output.
static int update(void *context, unsigned char *output, size_t *output_count, size_t capacity,
                  const unsigned char *input, size_t count) {
    cipher *c = context;
    *output_count = 0;
    if (count == 0)
        return 1;
    if (c->state != ready)
        return 0;
    if (output == NULL) {
        if (count > additional_bytes - c->additional_count)
            return 0;
        memcpy(c->additional + c->additional_count, input, count);
        c->additional_count += count;
    } else {
        if (capacity < count)
            return 0;
        run(c, output, input, count);
    }
    *output_count = count;
    return 1;
}

static int finish(void *context, unsigned char *output, size_t *output_count, size_t capacity) {
    (void)output, (void)capacity;
    cipher *c = context;
    *output_count = 0;
    // A record holds one byte of text at least.
    if (c->state != done)
        return 0;
    c->state = waiting;
    if (c->encrypts) {
        c->has_tag = true;
        return 1;
    }
    return c->has_expected_tag && CRYPTO_memcmp(c->tag, c->expected_tag, tag_bytes) == 0;
}

static int get_tag(const cipher *c, OSSL_PARAM *p) {
    return c->has_tag && p->data_size == tag_bytes && OSSL_PARAM_set_octet_string(p, c->tag, tag_bytes);
}

static int get_cipher_parameters(void *context, OSSL_PARAM parameters[]) {
    for (OSSL_PARAM *p = parameters; p->key != NULL; p++) {
        if (strcmp(p->key, OSSL_CIPHER_PARAM_IVLEN) == 0) {
            if (!OSSL_PARAM_set_size_t(p, iv_bytes))
                return 0;
        } else if (strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TAG) == 0) {
            if (!get_tag(context, p))
                return 0;
        } else if (strcmp(p->key, OSSL_CIPHER_PARAM_KEYLEN) == 0) {
            if (!OSSL_PARAM_set_size_t(p, key_bytes))
                return 0;
        }
    }
    return 1;
}

static bool set_size(OSSL_PARAM parameters[], const char *name, size_t value) {
    OSSL_PARAM *p = OSSL_PARAM_locate(parameters, name);
    return p == NULL || OSSL_PARAM_set_size_t(p, value);
}

// What holds for every message.
static int get_algorithm_parameters(OSSL_PARAM parameters[]) {
    OSSL_PARAM *mode = OSSL_PARAM_locate(parameters, OSSL_CIPHER_PARAM_MODE);
    OSSL_PARAM *aead = OSSL_PARAM_locate(parameters, OSSL_CIPHER_PARAM_AEAD);
    OSSL_PARAM *own_iv = OSSL_PARAM_locate(parameters, OSSL_CIPHER_PARAM_CUSTOM_IV);
    return (mode == NULL || OSSL_PARAM_set_uint(mode, EVP_CIPH_GCM_MODE))
        && (aead == NULL || OSSL_PARAM_set_int(aead, 1))
        && (own_iv == NULL || OSSL_PARAM_set_int(own_iv, 1))
        && set_size(parameters, OSSL_CIPHER_PARAM_KEYLEN, key_bytes)
        && set_size(parameters, OSSL_CIPHER_PARAM_IVLEN, iv_bytes)
        && set_size(parameters, OSSL_CIPHER_PARAM_BLOCK_SIZE, 1);
}

// MARK: - Provider

// To ask for it by a property of its own leaves an administrator's `default_properties` in force, `provider=` among them.
static const char name[] = "adit", properties[] = "provider=adit,adit.records=yes", query[] = "?adit.records=yes";

static const OSSL_DISPATCH cipher_functions[] = {
    { OSSL_FUNC_CIPHER_NEWCTX, (void (*)(void))make_cipher },
    { OSSL_FUNC_CIPHER_FREECTX, (void (*)(void))free_cipher },
    { OSSL_FUNC_CIPHER_ENCRYPT_INIT, (void (*)(void))begin_encryption },
    { OSSL_FUNC_CIPHER_DECRYPT_INIT, (void (*)(void))begin_decryption },
    { OSSL_FUNC_CIPHER_UPDATE, (void (*)(void))update },
    { OSSL_FUNC_CIPHER_FINAL, (void (*)(void))finish },
    { OSSL_FUNC_CIPHER_GET_PARAMS, (void (*)(void))get_algorithm_parameters },
    { OSSL_FUNC_CIPHER_GET_CTX_PARAMS, (void (*)(void))get_cipher_parameters },
    { OSSL_FUNC_CIPHER_SET_CTX_PARAMS, (void (*)(void))set_cipher_parameters },
    { 0, NULL },
};

static const OSSL_ALGORITHM *algorithms(void *provider, int operation, int *changes) {
    (void)provider;
    static const OSSL_ALGORITHM ciphers[] = {
        { "AES-128-GCM:id-aes128-GCM:2.16.840.1.101.3.4.1.6", properties, cipher_functions,
          "AES-128-GCM of libIPSec_MB" },
        { NULL, NULL, NULL, NULL },
    };
    *changes = 0;
    return operation == OSSL_OP_CIPHER ? ciphers : NULL;
}

static int start_provider(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *core, const OSSL_DISPATCH **functions,
                          void **provider) {
    (void)core;
    static const OSSL_DISPATCH provider_functions[] = {
        { OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))algorithms },
        { 0, NULL },
    };
    *functions = provider_functions;
    *provider = (void *)handle;
    return 1;
}

// MARK: - Library

// Asks the operating system too, which has to keep the registers; the library asks the processor alone.
static bool processor_fits(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("vaes") && __builtin_cpu_supports("vpclmulqdq");
}

// Whether the library chose the functions that are worth it, found them to work, and wipes what they leave behind.
static bool take_functions(IMB_MGR *(*make)(uint64_t), void (*choose)(IMB_MGR *, IMB_ARCH *), void (*release)(IMB_MGR *)) {
    static const uint64_t needed = IMB_CPUFLAGS_AVX512_T2 | IMB_FEATURE_SAFE_DATA | IMB_FEATURE_SELF_TEST_PASS;
    IMB_MGR *manager = make(0);
    if (manager == NULL)
        return false;
    choose(manager, NULL);
    bool useful = (manager->features & needed) == needed;
    if (useful) {
        aes.expand_key = manager->gcm128_pre;
        aes.encrypt = manager->gcm128_enc;
        aes.decrypt = manager->gcm128_dec;
    }
    release(manager);
    return useful;
}

static bool load_library(void) {
    void *library = dlopen("libIPSec_MB.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return false;
    unsigned (*version)(void) = (unsigned (*)(void))dlsym(library, "imb_get_version");
    IMB_MGR *(*make)(uint64_t) = (IMB_MGR *(*)(uint64_t))dlsym(library, "alloc_mb_mgr");
    void (*choose)(IMB_MGR *, IMB_ARCH *) = (void (*)(IMB_MGR *, IMB_ARCH *))dlsym(library, "init_mb_mgr_auto");
    void (*release)(IMB_MGR *) = (void (*)(IMB_MGR *))dlsym(library, "free_mb_mgr");
    // Another version may lay its keys out differently.
    if (version != NULL && make != NULL && choose != NULL && release != NULL && version() == IMB_VERSION_NUM
        && take_functions(make, choose, release))
        return true;
    dlclose(library);
    return false;
}

// OpenSSL's own has to be there and to come first: it is what everybody gets who does not ask for ours.
static bool openssl_has_its_own(void) {
    EVP_CIPHER *own = EVP_CIPHER_fetch(NULL, "AES-128-GCM", "provider=default");
    EVP_CIPHER_free(own);
    return own != NULL;
}

static OSSL_PROVIDER *provider;

static void load(void) {
    ERR_set_mark();
    // `1`: the providers that OpenSSL loads by itself are still loaded.
    if (OpenSSL_version_num() < 0x30100000L && processor_fits() && openssl_has_its_own() && load_library()
        && OSSL_PROVIDER_add_builtin(NULL, name, start_provider) == 1)
        provider = OSSL_PROVIDER_try_load(NULL, name, 1);
    ERR_pop_to_mark();
}

const char *adit_vector_aes_properties(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    // `?`: preferred, not required.
    return provider == NULL ? NULL : query;
}

#else

const char *adit_vector_aes_properties(void) {
    return NULL;
}

#endif
