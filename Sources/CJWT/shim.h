#ifndef ADIT_CJWT_SHIM_H
#define ADIT_CJWT_SHIM_H

#include <jwt.h>
#include <stdlib.h>

/// Releases text that libjwt returned. libjwt 1.10 has no call for it: the text comes from malloc.
static inline void adit_jwt_free_text(char *text) {
    free(text);
}

#endif
