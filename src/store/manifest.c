/* Manifests: objects "m/<name>/<20 digits>", each holding its content twice, so that damage to one copy costs nothing.
 * docs/formats/manifest.md has every byte. */
#include "store/bytes.h"
#include "store/manifest_int.h"
#include "store/store.h"

#include <stdio.h>

static const char magic[8] = {'P', 'H', 'A', 'R', 'O', 'S', 'M', '0'};

/* Copy: 0 magic, 8 version, 12 crc of [16, 40 + len), 16 number, 24 nonce, 32 len, 40 bytes, zeros to 8. */
void manifest_encode(Buf *out, u64 number, u64 nonce, Str bytes)
{
    u8 head[MANIFEST_HEAD_BYTES] = {0};
    memcpy(head, magic, 8);
    put_u64(head + 16, number);
    put_u64(head + 24, nonce);
    put_u64(head + 32, bytes.len);
    put_u32(head + 12, crc32c(crc32c(0, head + 16, 24), bytes.at, bytes.len));
    static const u8 zeros[8];
    for (int copy = 0; copy < 2; copy++) {
        buf_put(out, head, sizeof head);
        buf_str(out, bytes);
        buf_put(out, zeros, -bytes.len & 7);
    }
}

static Err decode_copy(Str in, u64 number, Str *ret, Why *why)
{
    const u8 *at = (const u8 *)in.at;
    if (in.len < MANIFEST_HEAD_BYTES || memcmp(at, magic, 8) != 0)
        return why_set(why, E_CORRUPT, "not a manifest: its first 8 bytes are wrong");
    u64 len = get_u64(at + 32);
    if (len > in.len - MANIFEST_HEAD_BYTES)
        return why_set(why, E_CORRUPT, "says %llu bytes of content, has %zu", (unsigned long long)len,
                       in.len - MANIFEST_HEAD_BYTES);
    if (crc32c(crc32c(0, at + 16, 24), at + MANIFEST_HEAD_BYTES, len) != get_u32(at + 12))
        return why_set(why, E_CORRUPT, "its checksum is wrong");
    if (get_u32(at + 8) != 0)
        return why_set(why, E_UNSUPPORTED, "format version %u, this program knows version 0",
                       get_u32(at + 8));
    if (get_u64(at + 16) != number)
        return why_set(why, E_CORRUPT, "says it is number %llu", (unsigned long long)get_u64(at + 16));
    *ret = str_of(in.at + MANIFEST_HEAD_BYTES, len);
    return OK;
}

Err manifest_decode(Str in, u64 number, Str *ret, u32 *ret_bad_copies, Why *why)
{
    *ret_bad_copies = 0;
    size_t half = in.len / 2;
    Str first, second;
    Err e = in.len % 16 ? why_set(why, E_CORRUPT, "its size is odd: cut")
                        : decode_copy(str_sub(in, 0, half), number, &first, why);
    if (e == E_UNSUPPORTED)
        return e;
    Err e2 = in.len % 16 ? E_CORRUPT : decode_copy(str_skip(in, half), number, &second, NULL);
    *ret_bad_copies = (e != OK) + (e2 != OK);
    if (e != OK && e2 != OK)
        return e;
    *ret = e == OK ? first : second;
    return OK;
}

Str manifest_key(Str name, u64 number, char key[MANIFEST_KEY_MAX])
{
    int n = snprintf(key, MANIFEST_KEY_MAX, "m/%.*s/%020llu", STR_FMT(name), (unsigned long long)number);
    return str_of(key, (size_t)n);
}

struct Manifest {
    Bucket *b;
    char *name;
    u64 number; /* of what bytes holds */
    u64 newest; /* highest number that exists: > number when the newest is damaged */
    Buf object;
    Str bytes;
    Err err; /* after an uncertain commit: for ever */
};

static bool take_number(void *arg, Str key, const ObjMeta *m)
{
    (void)m;
    ManifestNumbers *n = arg;
    Str digits = str_skip(key, n->prefix_len);
    u64 number = 0;
    if (digits.len != 20)
        return true;
    for (size_t i = 0; i < 20; i++) {
        if (digits.at[i] < '0' || digits.at[i] > '9')
            return true;
        number = number * 10 + (u64)(digits.at[i] - '0');
    }
    vec_push(&n->numbers, number);
    return true;
}

Err manifest_numbers(Bucket *b, Str name, ManifestNumbers *ret, Why *why)
{
    char prefix[MANIFEST_KEY_MAX];
    ret->prefix_len = (size_t)snprintf(prefix, sizeof prefix, "m/%.*s/", STR_FMT(name));
    return bucket_list(b, str_of(prefix, ret->prefix_len), S(""), take_number, ret, deadline_none(), why);
}

static Err load(Manifest *m, u64 number, Why *why)
{
    char key[MANIFEST_KEY_MAX];
    buf_clear(&m->object);
    Str k = manifest_key(str_c(m->name), number, key);
    TRY(bucket_get(m->b, k, 0, UINT64_MAX, &m->object, deadline_none(), why));
    u32 bad;
    Err e = manifest_decode(buf_view(&m->object), number, &m->bytes, &bad, why);
    if (e != OK)
        return why_prefix(why, "%s: ", key);
    if (bad)
        LOG_WARN("manifest", "One of the two copies is damaged; the other one is used", LF_STR("object", k));
    m->number = number;
    return OK;
}

Err manifest_open(Manifest **ret, Bucket *b, Str name, Why *why)
{
    Why own;
    why = why ? why : &own;
    if (!name.len || name.len > MANIFEST_NAME_MAX)
        return why_set(why, E_INVALID, "a manifest's name has 1 to %d bytes", MANIFEST_NAME_MAX);
    ManifestNumbers n = {0};
    Err e = manifest_numbers(b, name, &n, why);
    Manifest *m = mem_new(Manifest);
    m->b = b;
    m->name = mem_strdup(name);
    m->bytes = S("");
    buf_init(&m->object, 2 * ((size_t)MANIFEST_BYTES_MAX + MANIFEST_HEAD_BYTES + 8));
    if (e == OK && n.numbers.len)
        m->newest = n.numbers.at[n.numbers.len - 1]; /* listings are sorted */
    for (size_t i = n.numbers.len; e == OK && i-- > 0;) {
        e = load(m, n.numbers.at[i], why);
        if (e == OK)
            break;
        if (e != E_CORRUPT && e != E_NOT_FOUND)
            break;
        /* Both copies are gone: an older state is what is left. Nothing younger than it can be trusted to be complete. */
        if (e == E_CORRUPT)
            LOG_ERROR("manifest", "Damaged manifest passed over: what only it named is lost", LF_WHY(why));
        e = i ? OK : e;
    }
    vec_done(&n.numbers);
    if (e != OK) {
        manifest_close(m);
        return e;
    }
    *ret = m;
    return OK;
}

u64 manifest_number(const Manifest *m)
{
    return m->number;
}

Str manifest_bytes(const Manifest *m)
{
    return m->bytes;
}

Err manifest_commit(Manifest *m, Str bytes, Why *why)
{
    if (m->err != OK)
        return why_set(why, m->err,
                       "manifest %s: an earlier commit failed; open it again to see what is there", m->name);
    if (bytes.len > MANIFEST_BYTES_MAX)
        return why_set(why, E_TOO_LARGE, "manifest %s: %zu bytes, at most %d", m->name, bytes.len,
                       MANIFEST_BYTES_MAX);
    Buf object;
    buf_init(&object, 2 * (bytes.len + MANIFEST_HEAD_BYTES + 8));
    u64 number = m->newest + 1;
    manifest_encode(&object, number, random_u64(), bytes);
    char key[MANIFEST_KEY_MAX];
    Err e = bucket_create(m->b, manifest_key(str_c(m->name), number, key), buf_view(&object), deadline_none(),
                          why);
    if (e == OK) {
        buf_done(&m->object);
        m->object = object;
        m->bytes = str_of(object.at + MANIFEST_HEAD_BYTES, bytes.len);
        m->number = m->newest = number;
        return OK;
    }
    buf_done(&object);
    if (e != E_NOSPACE && e != E_TIMEOUT) /* these two stored nothing and may be tried again */
        m->err = e;
    return e;
}

Err manifest_prune(Manifest *m, u32 keep, Why *why)
{
    ManifestNumbers n = {0};
    Err e = manifest_numbers(m->b, str_c(m->name), &n, why);
    char key[MANIFEST_KEY_MAX];
    for (size_t i = 0; e == OK && i + MAX(keep, 1u) < n.numbers.len && n.numbers.at[i] < m->number; i++)
        e = bucket_delete(m->b, manifest_key(str_c(m->name), n.numbers.at[i], key), deadline_none(), why);
    vec_done(&n.numbers);
    return e;
}

void manifest_close(Manifest *m)
{
    if (!m)
        return;
    buf_done(&m->object);
    mem_free(m->name);
    mem_free(m);
}
