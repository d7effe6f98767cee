/* The receiver of remote_write, 1.0 and 2.0. */
#include "metrics/api/impl.h"

#include "wire/wire.h"

#define DECODED_MAX ((u64)32 << 20)
#define MEDIA_TYPE  "application/x-protobuf"
#define MESSAGE_V1  "prometheus.WriteRequest"
#define MESSAGE_V2  "io.prometheus.write.v2.Request"

/* http.Error of Go: the sentence, a line feed, and no guessing of types. */
static void plain_error(HttpReq *r, int status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void plain_error(HttpReq *r, int status, const char *fmt, ...)
{
    Buf b;
    va_list ap;
    buf_init(&b, 1 << 16);
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    http_add_header(r, S("X-Content-Type-Options"), S("nosniff"));
    http_reply_text(r, status, "%.*s\n", STR_FMT(buf_view(&b)));
    buf_done(&b);
}

static Str cut_to_print(Str s)
{
    return str_sub(s, 0, 300);
}

/* Which message it is. A missing type means the first, for clients of old. */
static bool take_media_type(HttpReq *r, bool *ret_v2)
{
    Str all = str_trim(http_header(r, S("Content-Type"))), type, rest = all, part, key, value,
        show = cut_to_print(all);
    *ret_v2 = false;
    if (all.len == 0)
        return true;
    bool more = str_cut(rest, ';', &type, &rest);
    if (!str_eq(type, S(MEDIA_TYPE))) {
        plain_error(r, 415, "expected " MEDIA_TYPE " as the first (media) part, got %.*s content-type",
                    STR_FMT(show));
        return false;
    }
    while (more) {
        more = str_cut(rest, ';', &part, &rest);
        if (!str_cut(part, '=', &key, &value) || str_find_char(value, '=') != SIZE_MAX) {
            plain_error(r, 415,
                        "as per https://www.rfc-editor.org/rfc/rfc9110#parameter expected parameters to be "
                        "key-values, got "
                        "%.*s in %.*s content-type",
                        STR_FMT(cut_to_print(part)), STR_FMT(show));
            return false;
        }
        if (!str_eq(str_trim(key), S("proto")))
            continue;
        *ret_v2 = str_eq(value, S(MESSAGE_V2));
        if (*ret_v2 || str_eq(value, S(MESSAGE_V1)))
            return true;
        plain_error(
            r, 415,
            "got %.*s content type; unknown remote write protobuf message %.*s, supported: " MESSAGE_V1
            ", " MESSAGE_V2,
            STR_FMT(show), STR_FMT(cut_to_print(value)));
        return false;
    }
    return true;
}

static bool take_coding(HttpReq *r)
{
    Str coding = http_header(r, S("Content-Encoding"));
    if (coding.len == 0 || str_eq_nocase(coding, S("snappy")))
        return true;
    plain_error(r, 415,
                "%.*s encoding (compression) is not accepted by this server; only snappy is acceptable",
                STR_FMT(cut_to_print(coding)));
    return false;
}

/* The declared length is judged before anything is decoded. */
static bool unpack(HttpReq *r, Buf *ret)
{
    u64 len;
    const u8 *at = (const u8 *)r->body.at;
    size_t n = r->body.len > 0 ? uvarint_get(at, at + r->body.len, &len) : 0;
    if (n == 0 || len > UINT32_MAX) {
        plain_error(r, 400, "snappy: corrupt input");
        return false;
    }
    if (len > DECODED_MAX) {
        plain_error(r, 400, "snappy: decoded length %llu exceeds limit %llu", (unsigned long long)len,
                    (unsigned long long)DECODED_MAX);
        return false;
    }
    buf_init(ret, DECODED_MAX);
    if (snappy_decode(r->body, DECODED_MAX, ret, NULL) == OK)
        return true;
    buf_done(ret);
    plain_error(r, 400, "snappy: corrupt input");
    return false;
}

/* What a sender of 2.0 is told whatever became of it: how much was stored. */
static void add_written(HttpReq *r, const SinkResult *res)
{
    const struct {
        Str name;
        u64 n;
    } counts[] = {{STR_INIT("X-Prometheus-Remote-Write-Samples-Written"), res->samples_ok},
                  {STR_INIT("X-Prometheus-Remote-Write-Histograms-Written"), res->histograms_ok},
                  {STR_INIT("X-Prometheus-Remote-Write-Exemplars-Written"), res->exemplars_ok}};
    for (size_t i = 0; i < COUNT_OF(counts); i++)
        http_add_header(r, counts[i].name, arena_printf(r->arena, "%llu", (unsigned long long)counts[i].n));
}

/* Whether sending the same again may help: 4xx no, 429 and 5xx yes. */
static int sink_status(const SinkResult *res)
{
    switch (res->err) {
    case OK: /* late samples that were accepted are counted in out_of_order: no reason to complain */
        return res->rejected_conflict + res->rejected_old + res->rejected_invalid ? 400
               : res->rejected_limit                                              ? 429
                                                                                  : 204;
    case E_INVALID:
    case E_PARSE:
    case E_CONFLICT:
    case E_TOO_OLD:
        return 400;
    case E_LIMIT:
        return 429;
    case E_BUSY:
    case E_UNAVAILABLE:
    case E_CLOSED:
    case E_NOSPACE:
        return 503;
    default:
        return 500;
    }
}

/* refused: series that the decoder left out, the first for the reason in bad. */
static void reply_sink(HttpReq *r, const SinkResult *res, u64 refused, const Why *bad)
{
    int status = sink_status(res);
    const char *why = res->why.text[0] ? res->why.text : "some samples were rejected";
    if (status == 503)
        http_add_header(r, S("Retry-After"), S("5"));
    if (status == 204 && !refused)
        http_reply(r, 204, NULL, S(""));
    else if (status > 400 || !refused)
        plain_error(r, status, "%s", why);
    else
        plain_error(r, 400, "%s (series left out: %llu)%s%s", bad->text, (unsigned long long)refused,
                    status == 400 ? "\n" : "", status == 400 ? why : "");
}

/* What could be decoded is stored, also when the answer has to be 400 for the rest. */
static void write_decoded(Api *a, HttpReq *r, const WriteDecoded *d, bool is_v2, const Why *bad)
{
    SinkResult res = {0};
    SampleBatch batch = {.tenant = api_tenant(a, r),
                         .series = d->series,
                         .series_len = d->series_len,
                         .metadata = d->metadata,
                         .metadata_len = d->metadata_len};
    if (d->series_len + d->metadata_len > 0)
        a->c.sink->write(a->c.sink, &batch, NULL, &res);
    if (is_v2)
        add_written(r, &res);
    reply_sink(r, &res, d->refused, bad);
}

void handle_write(HttpReq *r, void *arg)
{
    Api *a = arg;
    WriteDecoded d = {0};
    Why why = {0};
    Buf plain;
    bool is_v2;
    const ApiHooks *h = &a->c.hooks;
    if (h->is_ready && !h->is_ready(h->arg)) {
        http_add_header(r, S("Retry-After"), S("5"));
        http_reply_text(r, 503, "Service Unavailable");
        return;
    }
    if (!a->c.sink) {
        plain_error(r, 404,
                    "remote write receiver needs to be enabled with --web.enable-remote-write-receiver");
        return;
    }
    if (!take_media_type(r, &is_v2) || !take_coding(r) || !unpack(r, &plain))
        return;
    Err e = (is_v2 ? remote_write2_decode : remote_write_decode)(buf_view(&plain), r->arena, &d, &why);
    if (e == E_INVALID)
        metric_add(a->invalid_labels, (f64)d.refused);
    if (e == OK || e == E_INVALID) {
        write_decoded(a, r, &d, is_v2, &why);
    } else {
        if (is_v2)
            add_written(r, &(SinkResult){0});
        plain_error(r, e == E_LIMIT || e == E_TOO_LARGE ? 413 : 400, "%s", why.text);
    }
    buf_done(&plain);
}
