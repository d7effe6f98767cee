/* One scrape_configs entry. */
#include "collect/collect_internal.h"

static const char *const protocol_names[] = {"PrometheusProto", "PrometheusText0.0.4", "PrometheusText1.0.0",
                                             "OpenMetricsText0.0.1", "OpenMetricsText1.0.0"};
static const char *const escaping_names[] = {"allow-utf-8", "underscores", "dots", "values"};

u64 node_fingerprint(Conf *c, const ConfNode *n, u64 seed)
{
    if (!n)
        return seed;
    u8 kind = (u8)n->kind;
    seed = hash_bytes(&kind, 1, seed);
    if (n->kind == CONF_SCALAR) {
        /* Expanded, so that a changed environment is a changed job. Unset names were warned about when they were read. */
        Str text = conf_expand_quiet(c, n->text);
        return hash_bytes(text.at, text.len, seed + n->is_quoted);
    }
    for (u32 i = 0; i < n->len; i++) {
        if (n->kind == CONF_MAP)
            seed = hash_bytes(n->keys[i].text.at, n->keys[i].text.len, seed);
        seed = node_fingerprint(c, &n->items[i], seed);
    }
    return hash_bytes(&n->len, sizeof n->len, seed);
}

static void limit_read(ConfMap *m, const char *key, u64 *v)
{
    i64 n = conf_i64(m, key, 0, 0, INT64_MAX);
    if (n)
        *v = (u64)n;
}

void limits_read(ConfMap *m, ScrapeLimits *l)
{
    u64 body = conf_bytes(m, "body_size_limit", 0);
    if (body)
        l->body_bytes_max = body;
    limit_read(m, "sample_limit", &l->samples);
    limit_read(m, "target_limit", &l->targets);
    limit_read(m, "label_limit", &l->labels);
    limit_read(m, "label_name_length_limit", &l->label_name_bytes);
    limit_read(m, "label_value_length_limit", &l->label_value_bytes);
    limit_read(m, "keep_dropped_targets", &l->keep_dropped_targets);
}

static int protocol_find(Conf *c, const ConfNode *n, Str s)
{
    Str names[COUNT_OF(protocol_names)];
    for (u32 i = 0; i < COUNT_OF(protocol_names); i++) {
        if (str_eq(s, str_c(protocol_names[i])))
            return (int)i;
        names[i] = str_c(protocol_names[i]);
    }
    Str near = str_nearest(s, names, COUNT_OF(names));
    conf_error(c, n, "unknown scrape protocol \"%.*s\"%s%.*s%s", STR_FMT(str_sub(s, 0, 60)),
               near.len ? ", did you mean " : "", STR_FMT(near),
               near.len ? "?"
                        : "; one of OpenMetricsText1.0.0, OpenMetricsText0.0.1, PrometheusText1.0.0, "
                          "PrometheusText0.0.4, PrometheusProto");
    return -1;
}

void protocols_read(ConfMap *m, const char *key, ScrapeProtocol ret[8], u32 *ret_len)
{
    const ConfNode *list = conf_get(m, key), *items;
    u32 n = conf_list(m, key, &items), len = 0;
    if (conf_node_is_null(list))
        return;
    if (list->kind == CONF_LIST && n == 0)
        conf_error(m->conf, list, "must name at least one protocol; leave it out for the default");
    for (u32 i = 0; i < n; i++) {
        int p = protocol_find(m->conf, &items[i], conf_scalar(m->conf, &items[i], m->expand));
        bool again = false;
        for (u32 k = 0; k < len; k++)
            again = again || (int)ret[k] == p;
        if (again)
            conf_error(m->conf, &items[i], "the protocol %s is named twice", protocol_names[p]);
        else if (p >= 0 && len < 8)
            ret[len++] = (ScrapeProtocol)p;
    }
    *ret_len = len;
}

bool name_scheme_read(ConfMap *m, bool *ret_legacy)
{
    static const char *const schemes[] = {"utf8", "legacy", ""};
    if (!conf_has(m, "metric_name_validation_scheme")) {
        conf_ignore(m, "metric_name_validation_scheme");
        return false;
    }
    u32 i = conf_enum(m, "metric_name_validation_scheme", schemes, 3, 2);
    if (i < 2)
        *ret_legacy = i == 1;
    return i < 2;
}

bool escaping_read(ConfMap *m, bool legacy, EscapingScheme *ret)
{
    const ConfNode *n = conf_get(m, "metric_name_escaping_scheme");
    if (conf_scalar(m->conf, n, m->expand).len == 0)
        return false;
    *ret = (EscapingScheme)conf_enum(m, "metric_name_escaping_scheme", escaping_names, 4, ESCAPE_UNDERSCORES);
    if (legacy && *ret == ESCAPE_ALLOW_UTF8)
        conf_error(m->conf, n, "allow-utf-8 needs metric_name_validation_scheme: utf8");
    return true;
}

static int param_order(const void *a, const void *b)
{
    return str_cmp(((const struct ScrapeParam *)a)->name, ((const struct ScrapeParam *)b)->name);
}

static void params_read(ConfMap *m, ScrapeJob *job)
{
    const ConfNode *n = conf_get(m, "params");
    ConfMap p;
    if (conf_node_is_null(n) || !conf_map_begin(m->conf, n, &p))
        return;
    struct ScrapeParam *at = n->len ? arena_array(conf_arena(m->conf), struct ScrapeParam, n->len) : NULL;
    if (!at)
        return;
    for (u32 i = 0; i < n->len; i++) {
        const ConfNode *list = &n->items[i];
        at[i] = (struct ScrapeParam){.name = n->keys[i].text};
        if (conf_node_is_null(list))
            continue;
        if (list->kind != CONF_LIST) {
            conf_error(m->conf, list, "must be a list of values: [%.*s]",
                       STR_FMT(str_sub(list->text, 0, 40)));
            continue;
        }
        Str *values = list->len ? arena_array(conf_arena(m->conf), Str, list->len) : NULL;
        for (u32 k = 0; values && k < list->len; k++)
            values[k] = conf_scalar(m->conf, &list->items[k], m->expand);
        at[i].values = values;
        at[i].values_len = values ? list->len : 0;
    }
    qsort(at, n->len, sizeof *at, param_order);
    job->params = at;
    job->params_len = n->len;
}

static void times_read(ConfMap *m, const JobDefaults *d, ScrapeJob *job)
{
    job->interval_ms = conf_duration(m, "scrape_interval", 0);
    job->timeout_ms = conf_duration(m, "scrape_timeout", 0);
    if (job->interval_ms == 0)
        job->interval_ms = d->interval_ms;
    if (job->timeout_ms > job->interval_ms)
        conf_error(m->conf, m->node,
                   "scrape_timeout is greater than scrape_interval: make it shorter or scrape less often");
    if (job->timeout_ms == 0)
        job->timeout_ms = MIN(d->timeout_ms, job->interval_ms);
}

static void formats_read(ConfMap *m, const JobDefaults *d, ScrapeJob *job)
{
    static const ScrapeProtocol defaults[] = {PROTO_OM_1_0_0, PROTO_OM_0_0_1, PROTO_TEXT_1_0_0,
                                              PROTO_TEXT_0_0_4};
    job->native_histograms = conf_bool(m, "scrape_native_histograms", d->native_histograms);
    job->classic_too = conf_bool(m, "always_scrape_classic_histograms", d->classic_too);
    job->convert_nhcb = conf_bool(m, "convert_classic_histograms_to_nhcb", d->convert_nhcb);
    job->extra_metrics = conf_bool(m, "extra_scrape_metrics", d->extra_metrics);
    job->protocols_len = 0;
    protocols_read(m, "scrape_protocols", job->protocols, &job->protocols_len);
    if (job->protocols_len == 0 && d->protocols_len) {
        memcpy(job->protocols, d->protocols, sizeof job->protocols);
        job->protocols_len = d->protocols_len;
    }
    if (job->protocols_len == 0) {
        if (job->native_histograms)
            job->protocols[job->protocols_len++] = PROTO_PROTOBUF;
        for (u32 i = 0; i < COUNT_OF(defaults); i++)
            job->protocols[job->protocols_len++] = defaults[i];
    }
    const ConfNode *fallback = conf_get(m, "fallback_scrape_protocol");
    Str text = conf_scalar(m->conf, fallback, m->expand);
    int p = text.len ? protocol_find(m->conf, fallback, text) : -1;
    job->fallback = p >= 0 ? (ScrapeProtocol)p : PROTO_NONE;
    job->legacy_names = d->legacy_names;
    bool own_scheme = name_scheme_read(m, &job->legacy_names);
    job->escaping = job->legacy_names ? ESCAPE_UNDERSCORES : ESCAPE_ALLOW_UTF8;
    if (!escaping_read(m, job->legacy_names, &job->escaping) && d->has_escaping &&
        !(own_scheme && job->legacy_names && d->escaping == ESCAPE_ALLOW_UTF8))
        job->escaping = d->escaping;
}

void job_read(Conf *c, const ConfNode *n, const JobDefaults *d, ScrapeJob *job)
{
    ConfMap m;
    if (conf_node_is_null(n)) {
        conf_error(c, n, "an empty scrape configuration: fill it in or remove the dash");
        return;
    }
    if (!conf_map_begin(c, n, &m))
        return;
    job->name = conf_need_str(&m, "job_name");
    times_read(&m, d, job);
    formats_read(&m, d, job);
    conf_set_legacy_names(c, job->legacy_names);
    job->limits = d->limits;
    limits_read(&m, &job->limits);
    limit_read(&m, "native_histogram_bucket_limit", &job->limits.histogram_buckets);
    job->histogram_min_factor = conf_f64(&m, "native_histogram_min_bucket_factor", 0);
    job->honor_labels = conf_bool(&m, "honor_labels", false);
    job->honor_timestamps = conf_bool(&m, "honor_timestamps", true);
    job->track_timestamps_staleness = conf_bool(&m, "track_timestamps_staleness", false);
    job->compression = conf_bool(&m, "enable_compression", true);
    job->metrics_path = conf_str(&m, "metrics_path", S("/metrics"));
    job->scheme = conf_str(&m, "scheme", S("http"));
    if (job->scheme.len && !str_eq(job->scheme, S("http")) && !str_eq(job->scheme, S("https")))
        conf_error(c, conf_get(&m, "scheme"), "must be http or https");
    conf_ignore(&m, "scrape_failure_log_file");
    params_read(&m, job);
    conf_http_client(&m, &job->http);
    job->relabel = conf_relabel(&m, "relabel_configs");
    job->metric_relabel = conf_relabel(&m, "metric_relabel_configs");
    const ConfNode *relabel = conf_get(&m, "relabel_configs");
    sd_configs_read(&m, conf_node_is_null(relabel) || relabel->len == 0, &job->sd);
    conf_map_end(&m);
    job->fingerprint = node_fingerprint(c, n, d->fingerprint);
    u64 f = hash_bytes(&job->honor_labels, sizeof job->honor_labels, 1);
    f = hash_bytes(&job->legacy_names, sizeof job->legacy_names, f);
    f = node_fingerprint(c, conf_get(&m, "metric_relabel_configs"), f);
    ScrapeLimits l = job->limits;
    u64 label_limits[] = {l.labels, l.label_name_bytes, l.label_value_bytes};
    job->series_fingerprint = hash_bytes(label_limits, sizeof label_limits, f);
}
