#include "COpenSSL.h"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

static int select_protocol(SSL *ssl, const unsigned char **selected, unsigned char *selected_count,
                           const unsigned char *offered, unsigned int offered_count, void *list) {
    (void)ssl;
    const unsigned char *ours = list;
    // The pointer that comes back points into one of the two lists; OpenSSL copies it after this call.
    unsigned char *agreed = NULL;
    int found = SSL_select_next_proto(&agreed, selected_count, ours, ours[0] + 1u, offered, offered_count);
    if (found != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *selected = agreed;
    return SSL_TLSEXT_ERR_OK;
}

// A client that sends no list at all never reaches `select_protocol`.
static int require_protocols(SSL *ssl, int *alert, void *context) {
    (void)context;
    const unsigned char *extension = NULL;
    size_t count = 0;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &extension, &count))
        return SSL_CLIENT_HELLO_SUCCESS;
    *alert = SSL_AD_NO_APPLICATION_PROTOCOL;
    return SSL_CLIENT_HELLO_ERROR;
}

void adit_ssl_ctx_require_alpn(SSL_CTX *context, const uint8_t *list) {
    SSL_CTX_set_client_hello_cb(context, require_protocols, NULL);
    SSL_CTX_set_alpn_select_cb(context, select_protocol, (void *)list);
}

int adit_no_passphrase(char *buffer, int size, int writing, void *context) {
    (void)buffer, (void)size, (void)writing, (void)context;
    return -1;
}

bool adit_cpu_has_aes(void) {
#if defined(__x86_64__) || defined(__i386__)
    unsigned int a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_AES) != 0;
#elif defined(__aarch64__) && defined(__APPLE__)
    return true;
#elif defined(__aarch64__) && defined(__linux__)
    return (getauxval(AT_HWCAP) & HWCAP_AES) != 0;
#else
    return false;
#endif
}
