/* Building targets exactly as Prometheus does: labels before and after relabelling, the URL, what is sent. */
#include "collect/collect_internal.h"

#define PARAM_PREFIX S("__param_")

static void set_absent(LabelsBuilder *b, Str name, Str value)
{
    if (lb_get(b, name).len == 0)
        lb_set(b, name, value);
}

static Str duration_text(Arena *a, i64 ms)
{
    Buf b;
    buf_init(&b, 64);
    print_duration_ms(&b, ms);
    Str s = arena_dup(a, buf_view(&b));
    buf_done(&b);
    return s;
}

Labels target_discovered_labels(const ScrapeJob *job, Labels target, Labels group, Arena *a)
{
    LabelsBuilder b;
    lb_init(&b, a, group);
    for (u32 i = 0; i < target.len; i++)
        lb_set(&b, target.at[i].name, target.at[i].value);
    set_absent(&b, S("job"), job->name);
    set_absent(&b, S("__scrape_interval__"), duration_text(a, job->interval_ms));
    set_absent(&b, S("__scrape_timeout__"), duration_text(a, job->timeout_ms));
    set_absent(&b, S("__metrics_path__"), job->metrics_path);
    set_absent(&b, S("__scheme__"), job->scheme);
    for (u32 i = 0; i < job->params_len; i++)
        if (job->params[i].values_len)
            set_absent(&b, arena_printf(a, "__param_%.*s", STR_FMT(job->params[i].name)),
                       job->params[i].values[0]);
    return lb_build(&b);
}

static Err times_check(LabelsBuilder *b, Why *why)
{
    i64 interval, timeout;
    Str interval_text = lb_get(b, S("__scrape_interval__")),
        timeout_text = lb_get(b, S("__scrape_timeout__"));
    if (parse_duration_ms(interval_text, &interval, NULL) != OK)
        return why_set(why, E_INVALID, "error parsing scrape interval: not a valid duration string: \"%.*s\"",
                       STR_FMT(interval_text));
    if (interval == 0)
        return why_set(why, E_INVALID, "scrape interval cannot be 0");
    if (parse_duration_ms(timeout_text, &timeout, NULL) != OK)
        return why_set(why, E_INVALID, "error parsing scrape timeout: not a valid duration string: \"%.*s\"",
                       STR_FMT(timeout_text));
    if (timeout == 0)
        return why_set(why, E_INVALID, "scrape timeout cannot be 0");
    if (timeout > interval)
        return why_set(why, E_INVALID,
                       "scrape timeout cannot be greater than scrape interval (\"%.*s\" > \"%.*s\")",
                       STR_FMT(timeout_text), STR_FMT(interval_text));
    return OK;
}

Err target_labels(const ScrapeJob *job, Labels discovered, Arena *a, Labels *ret, Why *why)
{
    LabelsBuilder b;
    lb_init(&b, a, discovered);
    *ret = (Labels){0};
    if (!relabel_apply(job->relabel, &b))
        return OK;
    Str address = lb_get(&b, S("__address__"));
    if (address.len == 0)
        return why_set(why, E_INVALID, "no address");
    if (str_find_char(address, '/') != SIZE_MAX)
        return why_set(why, E_INVALID, "\"%.*s\" is not a valid hostname", STR_FMT(str_sub(address, 0, 200)));
    TRY(times_check(&b, why));
    if (lb_get(&b, S("instance")).len == 0)
        lb_set(&b, S("instance"), address);
    Labels all = lb_build(&b);
    Label *kept = arena_array(a, Label, all.len);
    u32 len = 0;
    for (u32 i = 0; kept && i < all.len; i++) {
        if (str_starts(all.at[i].name, S("__meta_")))
            continue;
        if (!str_is_utf8(all.at[i].value))
            return why_set(why, E_INVALID, "invalid label value for \"%.*s\"", STR_FMT(all.at[i].name));
        kept[len++] = all.at[i];
    }
    *ret = (Labels){kept, len};
    return OK;
}

Labels target_public_labels(Labels all, Arena *a)
{
    Label *at = all.len ? arena_array(a, Label, all.len) : NULL;
    u32 len = 0;
    for (u32 i = 0; at && i < all.len; i++)
        if (!str_starts(all.at[i].name, S("__")))
            at[len++] = all.at[i];
    return (Labels){at, len};
}

/* Go's URL.String() escapes a path this way: what may stand in a path stays. */
static void path_escape(Buf *out, Str path)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < path.len; i++) {
        unsigned char ch = (unsigned char)path.at[i];
        bool plain = (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
                     (ch && strchr("-_.~/$&+,:;=@", ch));
        if (plain) {
            buf_char(out, (char)ch);
        } else {
            buf_char(out, '%');
            buf_char(out, hex[ch >> 4]);
            buf_char(out, hex[ch & 15]);
        }
    }
}

static void param_print(Buf *out, bool *first, Str name, Str value)
{
    buf_char(out, *first ? '?' : '&');
    *first = false;
    url_escape_query(out, name);
    buf_char(out, '=');
    url_escape_query(out, value);
}

/* Sorted by name. A __param_x label replaces the first value of x; params that only exist as labels are added. */
static void query_print(const ScrapeJob *job, Labels all, Buf *out)
{
    bool first = true;
    u32 p = 0, l = 0;
    for (;;) {
        while (l < all.len && !str_starts(all.at[l].name, PARAM_PREFIX))
            l++;
        bool has_label = l < all.len, has_param = p < job->params_len;
        if (!has_label && !has_param)
            return;
        Str label = has_label ? str_skip(all.at[l].name, PARAM_PREFIX.len) : S("");
        int order = !has_label ? -1 : !has_param ? 1 : str_cmp(job->params[p].name, label);
        if (order <= 0)
            for (u32 i = 0; i < job->params[p].values_len; i++)
                param_print(out, &first, job->params[p].name,
                            i == 0 && order == 0 ? all.at[l].value : job->params[p].values[i]);
        if (order > 0 || (order == 0 && job->params[p].values_len == 0))
            param_print(out, &first, label, all.at[l].value);
        p += order <= 0;
        l += order >= 0;
    }
}

Str target_url(const ScrapeJob *job, Labels all, Arena *a)
{
    Buf out;
    buf_init(&out, 64u << 10);
    Str path = labels_get(all, S("__metrics_path__"));
    buf_str(&out, labels_get(all, S("__scheme__")));
    buf_c(&out, "://");
    buf_str(&out, labels_get(all, S("__address__")));
    if (path.len && path.at[0] != '/')
        buf_char(&out, '/');
    path_escape(&out, path);
    query_print(job, all, &out);
    Str url = arena_dup(a, buf_view(&out));
    buf_done(&out);
    return url;
}

Str scrape_accept_header(const ScrapeJob *job, Arena *a)
{
    static const char *const types[] = {
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
        "text/plain;version=0.0.4", "text/plain;version=1.0.0", "application/openmetrics-text;version=0.0.1",
        "application/openmetrics-text;version=1.0.0"};
    static const char *const escapings[] = {"allow-utf-8", "underscores", "dots", "values"};
    Buf out;
    buf_init(&out, 2048);
    u32 weight = COUNT_OF(types) + 1;
    for (u32 i = 0; i < job->protocols_len; i++) {
        ScrapeProtocol p = job->protocols[i];
        buf_c(&out, types[p]);
        if (p == PROTO_TEXT_1_0_0 || p == PROTO_OM_1_0_0)
            buf_printf(&out, ";escaping=%s", escapings[job->escaping]);
        buf_printf(&out, ";q=0.%u,", weight--);
    }
    buf_printf(&out, "*/*;q=0.%u", weight);
    Str s = arena_dup(a, buf_view(&out));
    buf_done(&out);
    return s;
}
