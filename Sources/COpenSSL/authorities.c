#include "COpenSSL.h"

#include <openssl/x509_vfy.h>
#include <pthread.h>

struct question {
    X509_STORE_CTX *asked;
    int answer;
};

static void *answer(void *argument) {
    struct question *question = argument;
    X509_STORE *authorities = X509_STORE_new();
    X509_STORE_CTX *verification = X509_STORE_CTX_new();
    question->answer = X509_V_ERR_OUT_OF_MEM;
    if (authorities != NULL && verification != NULL && X509_STORE_set_default_paths(authorities) == 1
        && X509_STORE_CTX_init(verification, authorities, X509_STORE_CTX_get0_cert(question->asked),
               X509_STORE_CTX_get0_untrusted(question->asked)) == 1
        && X509_VERIFY_PARAM_set1(
               X509_STORE_CTX_get0_param(verification), X509_STORE_CTX_get0_param(question->asked)) == 1)
        question->answer = X509_verify_cert(verification) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(verification);
    X509_STORE_CTX_free(verification);
    X509_STORE_free(authorities);
    return NULL;
}

// A thread of its own, because glibc keeps some freed blocks of each size for the thread that freed them: here they would be
// scattered over all that a hundred and more certificates took, and hold most of it for good.
int adit_verify_by_system_authorities(X509_STORE_CTX *asked) {
    struct question question = {asked, X509_V_ERR_OUT_OF_MEM};
    pthread_t thread;
    if (pthread_create(&thread, NULL, answer, &question) == 0)
        pthread_join(thread, NULL);
    else
        answer(&question);
    return question.answer;
}
