/* What lies in the spool, as a request of remote write 2.0; and what its answers tell. */
#include "collect/remote/remote_internal.h"

/* By the metric's own name, or by that of the family it is a part of. */
static const MetadataItem *find_metadata(void *arg, Labels l)
{
    static const Str endings[] = {STR_INIT("_total"), STR_INIT("_bucket"), STR_INIT("_count"),
                                  STR_INIT("_sum"), STR_INIT("_info")};
    const StrMap *families = arg;
    Str name = labels_get(l, LABEL_NAME);
    const MetadataItem *m = strmap_find(families, name);
    for (size_t i = 0; !m && i < COUNT_OF(endings); i++)
        if (str_ends(name, endings[i]))
            m = strmap_find(families, str_sub(name, 0, name.len - endings[i].len));
    return m;
}

bool dest_encode_v2(Dest *d, Req *r, Why *why)
{
    Arena a;
    Buf pb, out;
    WriteDecoded w;
    arena_init(&a, NULL, 512 << 20);
    buf_init(&pb, RECORD_DECODED_MAX);
    buf_init(&out, RECORD_DECODED_MAX);
    buf_done(&r->body_v2);
    buf_init(&r->body_v2, RECORD_DECODED_MAX + (8 << 20));
    Err e = snappy_decode(buf_view(&r->body), RECORD_DECODED_MAX, &pb, why);
    if (e == OK)
        e = remote_write_decode(buf_view(&pb), &a, &w, why);
    if (e == OK) {
        mutex_lock(&d->mutex); /* what is known of metrics may change meanwhile */
        e = remote_write2_encode(w.series, w.series_len, find_metadata, &d->metadata, &a, &out, why);
        mutex_unlock(&d->mutex);
    }
    if (e == OK)
        snappy_encode(buf_view(&out), &r->body_v2);
    buf_done(&pb);
    buf_done(&out);
    arena_done(&a);
    return e == OK && !buf_over(&r->body_v2);
}

bool written_by_v2(const HttpResult *res, u64 *ret_points, u64 *ret_exemplars)
{
    static const Str names[] = {STR_INIT("X-Prometheus-Remote-Write-Samples-Written"),
                                STR_INIT("X-Prometheus-Remote-Write-Histograms-Written"),
                                STR_INIT("X-Prometheus-Remote-Write-Exemplars-Written")};
    u64 n[3] = {0};
    bool any = false;
    for (size_t i = 0; i < 3; i++)
        any |= parse_u64(str_trim(http_result_header(res, names[i])), &n[i]) == OK;
    *ret_points = n[0] + n[1];
    *ret_exemplars = n[2];
    return any;
}
