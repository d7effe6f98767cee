/* Offline verification of a metrics directory: manifest, every page of every part, catalogue, side objects, log. */
#include <stdio.h>
#include "metrics/engine.h"

typedef struct Fsck {
    Bucket *bucket;
    FsckReport *r;
} Fsck;

static void finding(FsckReport *r, bool is_error, const char *key, const char *what)
{
    if (r->out)
        buf_printf(r->out, "%s: %s\n", key, what);
    if (is_error)
        r->errors++;
    else
        r->warnings++;
}

static Err check_part(Fsck *f, const PartMeta *meta, Why *why)
{
    char key[64];
    part_key(key, meta->tenant, meta->seq);
    Part *p;
    Why own = {0};
    u32 bad = 0;
    TRY(part_open(&p, f->bucket, meta, why));
    f->r->checked_files++;
    f->r->checked_bytes += meta->bytes;
    if (part_verify(p, &bad, &own) != OK) {
        char text[1200];
        snprintf(text, sizeof text, "%u damaged pages; the first: %s", bad, own.text);
        finding(f->r, true, key, p->is_broken ? own.text : text);
    }
    part_unref(p);
    return OK;
}

static Err check_segments(Fsck *f, const TenantVersion *tv, Why *why)
{
    Catalogue cat;
    catalogue_init(&cat, 1);
    Err err = OK;
    for (size_t i = 0; i < tv->segments.len && err == OK; i++) {
        char key[64];
        segment_key(key, tv->id, tv->segments.at[i].seq);
        Buf b;
        Why own = {0};
        u32 bad = 0;
        buf_init(&b, (size_t)1 << 36);
        err = bucket_get(f->bucket, str_c(key), 0, UINT64_MAX, &b, deadline_none(), &own);
        if (err == OK)
            err = catalogue_decode(&cat, buf_view(&b), tv->segments.at[i].to, &bad, &own);
        catalogue_reserve(&cat, tv->segments.at[i].to);
        f->r->checked_files++;
        f->r->checked_bytes += b.len;
        if (err == E_NOT_FOUND || err == E_CORRUPT || bad) {
            finding(f->r, true, key, own.text);
            err = OK;
        } else if (err != OK) {
            why_set(why, err, "%s: %s", key, own.text);
        }
        buf_done(&b);
    }
    catalogue_done(&cat);
    return err;
}

static Err check_sides(Fsck *f, const TenantVersion *tv, Why *why)
{
    Err err = OK;
    for (size_t i = 0; i < tv->sides.len && err == OK; i++) {
        char key[64];
        side_key(key, tv->id, tv->sides.at[i].seq);
        Tenant t = {0};
        mutex_init(&t.side_lock, RANK_CATALOGUE);
        Buf b;
        Why own = {0};
        buf_init(&b, (size_t)1 << 32);
        err = bucket_get(f->bucket, str_c(key), 0, UINT64_MAX, &b, deadline_none(), &own);
        if (err == OK)
            err = side_decode(&t, UINT32_MAX, buf_view(&b), &own);
        f->r->checked_files++;
        f->r->checked_bytes += b.len;
        if (err == E_NOT_FOUND || err == E_CORRUPT) {
            finding(f->r, true, key, own.text);
            err = OK;
        } else if (err != OK) {
            why_set(why, err, "%s: %s", key, own.text);
        }
        buf_done(&b);
        exemplars_done(&t.exemplars);
        metadata_done(&t.metadata);
        mutex_done(&t.side_lock);
    }
    return err;
}

static Err check_version(Fsck *f, Str bytes, Why *why)
{
    Version *v = version_new();
    PartMetas metas = {0};
    Why own = {0};
    Err err = version_decode(bytes, v, &metas, &own);
    if (err != OK) {
        finding(f->r, true, "m/metrics", own.text);
        err = OK;
    } else {
        for (size_t i = 0; i < metas.len && err == OK; i++)
            err = check_part(f, &metas.at[i], why);
        for (size_t i = 0; i < v->tenants.len && err == OK; i++) {
            err = check_segments(f, &v->tenants.at[i], why);
            if (err == OK)
                err = check_sides(f, &v->tenants.at[i], why);
        }
    }
    for (size_t i = 0; i < v->tenants.len; i++)
        mem_free((void *)v->tenants.at[i].name.at);
    vec_done(&metas);
    version_unref(v);
    return err;
}

Err metrics_fsck(Vfs *vfs, const char *dir, FsckReport *r, Why *why)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/bucket", dir);
    TRY(fsck_bucket_manifest(vfs, path, S("metrics"), r, why));
    Fsck f = {.r = r};
    Manifest *m = NULL;
    TRY(bucket_open_dir(&f.bucket, vfs, path, why));
    Err err = manifest_open(&m, f.bucket, S("metrics"), why);
    if (err == OK && manifest_number(m))
        err = check_version(&f, manifest_bytes(m), why);
    if (m)
        manifest_close(m);
    bucket_close(f.bucket);
    TRY(err);
    snprintf(path, sizeof path, "%s/wal", dir);
    return fsck_ilog(vfs, path, r, why);
}
