#include "COpenSSL.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/x509_vfy.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct verification {
    X509_STORE_CTX *asked;
    int result;
    int error;
};

// X509_STORE_set_default_paths takes a file that cannot be opened for one that is not there.
static bool is_file_out_of_reach(void) {
    const char *file = getenv(X509_get_default_cert_file_env());
    int descriptor = open(file != NULL ? file : X509_get_default_cert_file(), O_RDONLY | O_CLOEXEC);
    if (descriptor >= 0)
        close(descriptor);
    return descriptor < 0 && errno != ENOENT && errno != ENOTDIR;
}

static void *verify(void *argument) {
    struct verification *verification = argument;
    X509_STORE *authorities = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    if (authorities != NULL && context != NULL && !is_file_out_of_reach()
        && X509_STORE_set_default_paths(authorities) == 1
        && X509_STORE_CTX_init(context, authorities, X509_STORE_CTX_get0_cert(verification->asked),
               X509_STORE_CTX_get0_untrusted(verification->asked)) == 1
        && X509_VERIFY_PARAM_set1(
               X509_STORE_CTX_get0_param(context), X509_STORE_CTX_get0_param(verification->asked)) == 1) {
        verification->result = X509_verify_cert(context);
        verification->error = X509_STORE_CTX_get_error(context);
    }
    X509_STORE_CTX_free(context);
    X509_STORE_free(authorities);
    return NULL;
}

// A thread of its own, because glibc keeps some freed blocks of each size for the thread that freed them: here they would be
// scattered over all that a hundred and more certificates took, and hold most of it for good.
int adit_verify_by_system_authorities(X509_STORE_CTX *asked, int *error) {
    struct verification verification = {.asked = asked, .result = -1};
    pthread_t thread;
    if (pthread_create(&thread, NULL, verify, &verification) == 0)
        pthread_join(thread, NULL);
    else
        verify(&verification);
    *error = verification.error;
    return verification.result;
}
