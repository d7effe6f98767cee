/* Inside manifests: the frame, shared by the manifest, its fsck and the fuzzer. */
#pragma once
#include "store/store.h"

enum {
    MANIFEST_HEAD_BYTES = 40,
    MANIFEST_NAME_MAX = 128,
    MANIFEST_KEY_MAX = MANIFEST_NAME_MAX + 32,
    MANIFEST_BYTES_MAX = 256 << 20,
};
typedef struct ManifestNumbers {
    VEC(u64) numbers; /* ascending; the caller frees */
    size_t prefix_len;
} ManifestNumbers;
void manifest_encode(Buf *out, u64 number, u64 nonce, Str bytes);
/* The content (borrowed from in) of the first good copy. */
Err manifest_decode(Str in, u64 number, Str *ret, u32 *ret_bad_copies, Why *why);
Str manifest_key(Str name, u64 number, char key[MANIFEST_KEY_MAX]);
Err manifest_numbers(Bucket *b, Str name, ManifestNumbers *ret, Why *why);
