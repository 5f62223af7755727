#ifndef ADIT_COPENSSL_H
#define ADIT_COPENSSL_H

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// MARK: - Pipe: the two ends of a TLS connection as memory
//
//     feed ──► input (borrowed) ──► SSL_read, SSL_do_handshake
//     SSL_write ──► region (borrowed, while one is set) ──► full, or none set ──► spill (owned) ──► drain
//
// What leaves in the region precedes what is in the spill: once a byte has spilled, all that follows spills as well.

/// What the spill holds at most. OpenSSL writes outside a region only handshake messages, alerts and key updates.
#define ADIT_PIPE_SPILL_LIMIT ((size_t)256 * 1024)

typedef struct adit_pipe adit_pipe;

/// Gives `ssl`, which has no BIO yet, a new pipe to read from and write to: valid until `ssl` is freed. NULL without memory.
/// A connection that has read all its input, in whole records, gives the 32 KiB of its buffers back.
adit_pipe *adit_pipe_connect(SSL *ssl);

/// Lends `count` bytes of ciphertext. False, and nothing changed, while earlier bytes are not consumed.
bool adit_pipe_feed(adit_pipe *pipe, const void *bytes, size_t count);
/// Forgets what was fed and not consumed.
void adit_pipe_discard_input(adit_pipe *pipe);
/// Whether there is nothing to read, and nothing to give back either. False does not say that there is.
bool adit_pipe_is_empty(const adit_pipe *pipe);

/// Lends memory for output and moves to it what is pending.
void adit_pipe_set_region(adit_pipe *pipe, void *bytes, size_t capacity);
/// Takes the region back; the count of bytes written to it.
size_t adit_pipe_end_region(adit_pipe *pipe);

/// The bytes in the spill.
size_t adit_pipe_pending(const adit_pipe *pipe);
/// Moves at most `capacity` bytes out of the spill; the count moved.
size_t adit_pipe_drain(adit_pipe *pipe, void *bytes, size_t capacity);
/// Whether output was refused for want of room or memory: the connection is then beyond use.
bool adit_pipe_failed(const adit_pipe *pipe);

// MARK: - Macros and variadic functions of OpenSSL, which Swift cannot call

static inline EVP_PKEY *adit_generate_p256(void) {
    return EVP_EC_gen("P-256");
}

static inline void adit_free(void *memory) {
    OPENSSL_free(memory);
}

static inline size_t adit_bio_memory(BIO *bio, const uint8_t **bytes) {
    char *start = NULL;
    long count = BIO_get_mem_data(bio, &start);
    *bytes = (const uint8_t *)start;
    return count > 0 ? (size_t)count : 0;
}

static inline STACK_OF(X509) *adit_x509_stack_new(void) {
    return sk_X509_new_null();
}

static inline bool adit_x509_stack_push(STACK_OF(X509) *stack, X509 *certificate) {
    return sk_X509_push(stack, certificate) > 0;
}

static inline void adit_x509_stack_free(STACK_OF(X509) *stack) {
    sk_X509_pop_free(stack, X509_free);
}

static inline bool adit_ssl_ctx_only_tls13(SSL_CTX *context) {
    return SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1
        && SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1;
}

static inline bool adit_ssl_ctx_set_groups(SSL_CTX *context, const char *groups) {
    return SSL_CTX_set1_groups_list(context, groups) == 1;
}

static inline void adit_ssl_ctx_set_mode(SSL_CTX *context, long mode) {
    SSL_CTX_set_mode(context, mode);
}

static inline void adit_ssl_ctx_no_session_cache(SSL_CTX *context) {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
}

static inline void adit_ssl_ctx_set_max_cert_list(SSL_CTX *context, long bytes) {
    SSL_CTX_set_max_cert_list(context, bytes);
}

static inline bool adit_ssl_set_server_name(SSL *ssl, const char *name) {
    return SSL_set_tlsext_host_name(ssl, name) == 1;
}

static const uint64_t ADIT_OP_NO_TICKET = SSL_OP_NO_TICKET;
static const uint64_t ADIT_OP_NO_COMPRESSION = SSL_OP_NO_COMPRESSION;
static const uint64_t ADIT_OP_NO_RENEGOTIATION = SSL_OP_NO_RENEGOTIATION;
static const uint64_t ADIT_OP_CIPHER_SERVER_PREFERENCE = SSL_OP_CIPHER_SERVER_PREFERENCE;
static const uint64_t ADIT_OP_PRIORITIZE_CHACHA = SSL_OP_PRIORITIZE_CHACHA;
static const long ADIT_MODE_ACCEPT_MOVING_WRITE_BUFFER = SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER;

// MARK: - Policy that must live in C

/// Makes a server refuse, with no_application_protocol, a client that does not offer the one protocol in `list`
/// (wire form: one length byte, then the name). The list is borrowed for as long as the context and its connections live.
void adit_ssl_ctx_require_alpn(SSL_CTX *context, const uint8_t *list);

/// Verifies the same chain as `asked`, with the same demands, by the authorities that the system trusts now; they are loaded
/// for this, and let go. 1 if it stands up to them; 0 if not, and *error, an X509_V_ERR, says why; -1 if they could not be asked.
int adit_verify_by_system_authorities(X509_STORE_CTX *asked, int *error);

/// For PEM readers: no passphrase, where OpenSSL would ask at the terminal.
int adit_no_passphrase(char *buffer, int size, int writing, void *context);

/// Whether the processor encrypts AES by itself; without that, ChaCha20 is faster and leaks nothing through its timing.
bool adit_cpu_has_aes(void);

/// With which properties to make an SSL_CTX: they prefer AES-128-GCM of libIPSec_MB, which this call then makes known to
/// OpenSSL. NULL for OpenSSL's own: the library is not there, is of another version than its header or fails its own test,
/// the processor has no AVX-512 with VAES, or OpenSSL is 3.1 or later and needs no help. Any thread may call it.
const char *adit_vector_aes_properties(void);

#endif
