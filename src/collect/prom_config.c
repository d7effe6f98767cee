/* prometheus.yml as a whole. What Prometheus refuses is refused here, what it accepts is accepted; see
 * tests/unit/collect/test_prom_config.c for the verdicts on its own test files. */
#include "collect/collect_internal.h"
#include "collect/remote/remote.h"
#include <glob.h>
#include <stdio.h>

#define CONFIG_BYTES_MAX (32u << 20)

bool path_pattern_is_valid(Str p)
{
    size_t star = str_find_char(p, '*');
    if (star == SIZE_MAX)
        return true;
    Str after = str_skip(p, star + 1);
    return str_find_char(after, '/') == SIZE_MAX && str_find_char(str_sub(p, 0, star), '*') == SIZE_MAX;
}

/* os.Expand: ${NAME} and $NAME, $$ is a dollar; beyond it ${NAME:-default}. Only external labels are read so. */
static Str expand_label(Conf *c, const ConfNode *at, Str s)
{
    Buf out;
    if (str_find_char(s, '$') == SIZE_MAX)
        return s;
    buf_init(&out, 1u << 20);
    for (size_t i = 0; i < s.len;) {
        size_t from = i + 1, to = from;
        while (to < s.len && label_name_is_classic(str_sub(s, from, to + 1)))
            to++;
        if (s.at[i] != '$' || from == s.len) {
            buf_char(&out, s.at[i++]);
        } else if (s.at[from] == '$') {
            buf_char(&out, '$');
            i += 2;
        } else if (s.at[from] == '{' || to > from) {
            size_t close = s.at[from] == '{' ? str_find_char(str_skip(s, from), '}') : 0;
            if (close == SIZE_MAX) {
                buf_char(&out, s.at[i++]);
                continue;
            }
            Str ref = close ? str_sub(s, i, from + close + 1)
                            : arena_printf(conf_arena(c), "${%.*s}", STR_FMT(str_sub(s, from, to)));
            buf_str(&out, conf_expand(c, at, ref));
            i = close ? from + close + 1 : to;
        } else {
            buf_char(&out, s.at[i++]);
        }
    }
    Str kept = arena_dup(conf_arena(c), buf_view(&out));
    buf_done(&out);
    return kept;
}

static void external_labels_read(ConfMap *m, PromConfig *p)
{
    const ConfNode *n = conf_get(m, "external_labels");
    Labels raw = conf_node_labels(m->conf, n, false);
    Label *at = raw.len ? arena_array(conf_arena(m->conf), Label, raw.len) : NULL;
    for (u32 i = 0; at && i < raw.len; i++) {
        at[i] = (Label){raw.at[i].name, expand_label(m->conf, n, raw.at[i].value)};
        if (str_eq(at[i].name, S("__name__")))
            conf_error(m->conf, n, "__name__ cannot be an external label");
    }
    p->external_labels = (Labels){at, at ? raw.len : 0};
}

static void global_read(Conf *c, const ConfNode *n, PromConfig *p, JobDefaults *d)
{
    ConfMap m;
    if (!conf_map_begin(c, n, &m))
        return;
    i64 interval = conf_duration(&m, "scrape_interval", 0), timeout = conf_duration(&m, "scrape_timeout", 0);
    p->scrape_interval_ms = interval ? interval : 60 * MS_PER_SEC;
    if (timeout > p->scrape_interval_ms)
        conf_error(c, conf_get(&m, "scrape_timeout"),
                   "is greater than scrape_interval: make it shorter or scrape less often");
    p->scrape_timeout_ms = timeout ? timeout : MIN(10 * MS_PER_SEC, p->scrape_interval_ms);
    i64 evaluation = conf_duration(&m, "evaluation_interval", 0);
    p->evaluation_interval_ms = evaluation ? evaluation : 60 * MS_PER_SEC;
    p->rule_query_offset_ms = conf_duration(&m, "rule_query_offset", 0);
    Str log = conf_str(&m, "query_log_file", S(""));
    p->query_log_file = log.len ? conf_file_path(c, log) : log;
    log = conf_str(&m, "scrape_failure_log_file", S(""));
    p->scrape_failure_log_file = log.len ? conf_file_path(c, log) : log;
    name_scheme_read(&m, &p->legacy_names);
    d->legacy_names = p->legacy_names;
    d->has_escaping = escaping_read(&m, p->legacy_names, &d->escaping);
    d->interval_ms = p->scrape_interval_ms;
    d->timeout_ms = p->scrape_timeout_ms;
    d->native_histograms = conf_bool(&m, "scrape_native_histograms", false);
    d->classic_too = conf_bool(&m, "always_scrape_classic_histograms", false);
    d->convert_nhcb = conf_bool(&m, "convert_classic_histograms_to_nhcb", false);
    d->extra_metrics = conf_bool(&m, "extra_scrape_metrics", false);
    protocols_read(&m, "scrape_protocols", d->protocols, &d->protocols_len);
    limits_read(&m, &d->limits);
    conf_set_legacy_names(c, p->legacy_names);
    external_labels_read(&m, p);
    conf_map_end(&m);
    d->fingerprint = node_fingerprint(c, n, 7);
}

static void runtime_read(Conf *c, const ConfNode *n)
{
    ConfMap m;
    if (!n || !conf_map_begin(c, n, &m))
        return;
    conf_i64(&m, "gogc", 0, INT64_MIN, INT64_MAX);
    conf_map_end(&m);
}

static void rule_files_read(ConfMap *m, PromConfig *p)
{
    const ConfNode *items;
    u32 n = conf_list(m, "rule_files", &items);
    Str *at = n ? arena_array(conf_arena(m->conf), Str, n) : NULL;
    for (u32 i = 0; at && i < n; i++) {
        Str pattern = conf_scalar(m->conf, &items[i], m->expand);
        if (!path_pattern_is_valid(pattern))
            conf_error(m->conf, &items[i], "a * may stand only in the last part of the path");
        at[i] = conf_file_path(m->conf, pattern);
    }
    p->rule_files = at;
    p->rule_files_len = at ? n : 0;
}

/* ---- alerting ---- */

static void alertmanager_read(Conf *c, const ConfNode *n, AlertmanagerConfig *a)
{
    ConfMap m;
    if (conf_node_is_null(n)) {
        conf_error(c, n, "an empty alertmanager: fill it in or remove the dash");
        return;
    }
    if (!conf_map_begin(c, n, &m))
        return;
    a->scheme = conf_str(&m, "scheme", S("http"));
    a->path_prefix = conf_str(&m, "path_prefix", S("/"));
    a->timeout_ms = conf_duration(&m, "timeout", 10 * MS_PER_SEC);
    Str version = conf_str(&m, "api_version", S("v2"));
    if (!str_eq(version, S("v2")))
        conf_error(c, conf_get(&m, "api_version"),
                   "only v2 is left of Alertmanager's interfaces: remove this line");
    conf_http_client(&m, &a->http);
    ConfMap aws;
    const ConfNode *sigv4 = conf_get(&m, "sigv4");
    if (!conf_node_is_null(sigv4) && conf_map_begin(c, sigv4, &aws)) {
        conf_secret(&aws, "secret_key");
        conf_warn(c, sigv4, "signing with AWS credentials is not built yet");
    }
    a->relabel = conf_relabel(&m, "relabel_configs");
    a->alert_relabel = conf_relabel(&m, "alert_relabel_configs");
    const ConfNode *relabel = conf_get(&m, "relabel_configs");
    sd_configs_read(&m, conf_node_is_null(relabel) || relabel->len == 0, &a->sd);
    conf_map_end(&m);
}

static void alerting_read(Conf *c, const ConfNode *n, PromConfig *p)
{
    ConfMap m;
    const ConfNode *items;
    if (!n || !conf_map_begin(c, n, &m))
        return;
    p->alert_relabel = conf_relabel(&m, "alert_relabel_configs");
    u32 len = conf_list(&m, "alertmanagers", &items);
    AlertmanagerConfig *at = len ? arena_array(conf_arena(c), AlertmanagerConfig, len) : NULL;
    for (u32 i = 0; at && i < len; i++) {
        at[i] = (AlertmanagerConfig){0};
        alertmanager_read(c, &items[i], &at[i]);
    }
    p->alertmanagers = at;
    p->alertmanagers_len = at ? len : 0;
    conf_map_end(&m);
}

/* ---- blocks that other roles use, or that are accepted for later ---- */

static void headers_check(ConfMap *m, const char *key)
{
    const ConfNode *n = conf_get(m, key);
    if (conf_node_is_null(n))
        return;
    if (n->kind != CONF_MAP) {
        conf_error(m->conf, n, "must be a map of header names to values");
        return;
    }
    for (u32 i = 0; i < n->len; i++) {
        conf_mark_secret_output(m->conf, &n->items[i]);
        conf_scalar(m->conf, &n->items[i], m->expand);
        if (conf_header_is_reserved(n->keys[i].text))
            conf_error(
                m->conf, &n->keys[i],
                "this header is set by Pharos itself; for credentials use authorization or basic_auth");
    }
}

static void remote_read_read(ConfMap *outer, PromConfig *p)
{
    Conf *c = outer->conf;
    StrMap names = {0};
    p->remote_read_len = conf_list(outer, "remote_read", &p->remote_read);
    for (u32 i = 0; i < p->remote_read_len; i++) {
        const ConfNode *n = &p->remote_read[i];
        ConfMap m;
        HttpClientConfig http = {0};
        if (conf_node_is_null(n)) {
            conf_error(c, n, "an empty remote_read: fill it in or remove the dash");
            continue;
        }
        if (!conf_map_begin(c, n, &m))
            continue;
        conf_need_str(&m, "url");
        Str name = conf_str(&m, "name", S(""));
        if (name.len && strmap_put(&names, name, c))
            conf_error(c, conf_get(&m, "name"), "the name \"%.*s\" is used twice",
                       STR_FMT(str_sub(name, 0, 80)));
        conf_duration(&m, "remote_timeout", 0);
        conf_bool(&m, "read_recent", false);
        conf_labels(&m, "required_matchers");
        conf_bool(&m, "filter_external_labels", true);
        conf_i64(&m, "chunked_read_limit", 0, 0, INT64_MAX);
        headers_check(&m, "headers");
        conf_http_client(&m, &http);
        conf_map_end(&m);
    }
    if (p->remote_read_len)
        conf_warn(c, conf_get(outer, "remote_read"),
                  "remote_read is not built yet: queries use local data alone");
    strmap_done(&names);
}

static void storage_read(Conf *c, const ConfNode *n, PromConfig *p)
{
    ConfMap m, t, r, e;
    p->max_exemplars = -1;
    if (!n || !conf_map_begin(c, n, &m))
        return;
    const ConfNode *tsdb = conf_get(&m, "tsdb"), *exemplars = conf_get(&m, "exemplars");
    if (tsdb && conf_map_begin(c, tsdb, &t)) {
        p->out_of_order_ms = conf_duration(&t, "out_of_order_time_window", 0);
        conf_f64(&t, "stale_series_compaction_threshold", 0);
        const ConfNode *retention = conf_get(&t, "retention"), *encoding = conf_get(&t, "chunk_encoding");
        if (retention && conf_map_begin(c, retention, &r)) {
            p->retention_ms = conf_duration(&r, "time", 0);
            p->retention_bytes = conf_bytes(&r, "size", 0);
            p->retention_percent = conf_f64(&r, "percentage", 0);
            if (!(p->retention_percent >= 0 && p->retention_percent <= 100))
                conf_error(c, conf_get(&r, "percentage"), "must be between 0 and 100");
            conf_map_end(&r);
        }
        if (encoding && conf_map_begin(c, encoding, &r)) {
            static const char *const encodings[] = {"xor", "xor2", ""};
            conf_enum(&r, "floats", encodings, 3, 0);
            conf_map_end(&r);
        }
        conf_map_end(&t);
    }
    if (exemplars && conf_map_begin(c, exemplars, &e)) {
        p->max_exemplars = conf_i64(&e, "max_exemplars", -1, INT64_MIN, INT64_MAX);
        conf_map_end(&e);
    }
    conf_map_end(&m);
}

static void tracing_read(Conf *c, const ConfNode *n)
{
    static const char *const clients[] = {"grpc", "http"}, *const codings[] = {"", "gzip"};
    ConfMap m;
    TlsConfig tls = {0};
    if (conf_node_is_null(n) || !conf_map_begin(c, n, &m))
        return;
    conf_need_str(&m, "endpoint");
    conf_enum(&m, "client_type", clients, 2, 0);
    conf_f64(&m, "sampling_fraction", 0);
    conf_bool(&m, "insecure", false);
    conf_tls(&m, "tls_config", &tls);
    headers_check(&m, "headers");
    conf_enum(&m, "compression", codings, 2, 0);
    conf_duration(&m, "timeout", 0);
    conf_warn(c, n, "tracing of Pharos itself is not built yet");
    conf_map_end(&m);
}

static u32 attributes_read(ConfMap *m, const char *key)
{
    const ConfNode *items;
    StrMap seen = {0};
    u32 n = conf_list(m, key, &items);
    for (u32 i = 0; i < n; i++) {
        Str name = str_trim(conf_scalar(m->conf, &items[i], m->expand));
        if (name.len == 0)
            conf_error(m->conf, &items[i], "an empty attribute name");
        else if (strmap_put(&seen, name, m))
            conf_error(m->conf, &items[i], "the attribute %.*s is named twice",
                       STR_FMT(str_sub(name, 0, 80)));
    }
    strmap_done(&seen);
    return n;
}

static void otlp_read(Conf *c, const ConfNode *n, bool legacy)
{
    static const char *const strategies[] = {"UnderscoreEscapingWithSuffixes",
                                             "UnderscoreEscapingWithoutSuffixes",
                                             "NoUTF8EscapingWithSuffixes", "NoTranslation", ""};
    ConfMap m;
    if (!n || !conf_map_begin(c, n, &m))
        return;
    bool all = conf_bool(&m, "promote_all_resource_attributes", false);
    u32 promoted = attributes_read(&m, "promote_resource_attributes"),
        ignored = attributes_read(&m, "ignore_resource_attributes");
    if (all && promoted)
        conf_error(c, conf_get(&m, "promote_resource_attributes"),
                   "cannot be used together with promote_all_resource_attributes");
    if (!all && ignored)
        conf_error(c, conf_get(&m, "ignore_resource_attributes"),
                   "needs promote_all_resource_attributes: true");
    u32 s = conf_enum(&m, "translation_strategy", strategies, COUNT_OF(strategies), 0);
    if (legacy && (s == 2 || s == 3))
        conf_error(c, conf_get(&m, "translation_strategy"), "%s needs metric_name_validation_scheme: utf8",
                   strategies[s]);
    conf_bool(&m, "keep_identifying_resource_attributes", false);
    conf_bool(&m, "convert_histograms_to_nhcb", false);
    conf_bool(&m, "promote_scope_metadata", false);
    conf_bool(&m, "label_name_underscore_sanitization", true);
    conf_bool(&m, "label_name_preserve_multiple_underscores", true);
    conf_map_end(&m);
}

/* ---- jobs, also from scrape_config_files ---- */

typedef struct JobReader {
    PromConfig *p;
    const JobDefaults *defaults;
    VEC(ScrapeJob) jobs;
    StrMap names;
    Vfs *vfs;
} JobReader;

static void jobs_read(JobReader *r, ConfMap *m)
{
    const ConfNode *items;
    u32 n = conf_list(m, "scrape_configs", &items);
    for (u32 i = 0; i < n; i++) {
        ScrapeJob job = {0};
        job_read(m->conf, &items[i], r->defaults, &job);
        if (job.name.len && strmap_put(&r->names, job.name, r)) {
            const ConfNode *at = &items[i];
            for (u32 k = 0; k < at->len; k++)
                if (str_eq(at->keys[k].text, S("job_name")))
                    at = &at->items[k];
            conf_error(m->conf, at, "a second job with the name \"%.*s\": rename or merge one of them",
                       STR_FMT(str_sub(job.name, 0, 80)));
        }
        vec_push(&r->jobs, job);
    }
}

static bool conf_load(Vfs *vfs, Conf *c, const char *path)
{
    Buf text;
    Why why;
    buf_init(&text, CONFIG_BYTES_MAX);
    bool ok = vfs_read_file(vfs, path, CONFIG_BYTES_MAX, &text, &why) == OK;
    if (!ok)
        conf_error(c, NULL, "cannot be read: %s", why.text);
    ok = ok && conf_parse(c, buf_view(&text));
    buf_done(&text);
    return ok;
}

static void more_jobs_file(JobReader *r, const char *path)
{
    Conf *c = conf_new(path);
    ConfMap m;
    vec_push(&r->p->more_confs, c);
    if (!conf_load(r->vfs, c, path) || !conf_map_begin(c, conf_root(c), &m))
        return;
    jobs_read(r, &m);
    conf_map_end(&m);
}

static void more_jobs_read(JobReader *r, ConfMap *m)
{
    const ConfNode *items;
    u32 n = conf_list(m, "scrape_config_files", &items);
    for (u32 i = 0; i < n; i++) {
        Str pattern = conf_scalar(m->conf, &items[i], m->expand);
        if (!path_pattern_is_valid(pattern)) {
            conf_error(m->conf, &items[i], "a * may stand only in the last part of the path");
            continue;
        }
        glob_t found = {0};
        if (glob(conf_file_path(m->conf, pattern).at, 0, NULL, &found) == 0)
            for (size_t k = 0; k < found.gl_pathc; k++)
                more_jobs_file(r, found.gl_pathv[k]);
        globfree(&found);
    }
}

static void config_fill(PromConfig *p, Vfs *vfs)
{
    Conf *c = p->conf;
    ConfMap m;
    JobDefaults d = {0};
    if (!conf_map_begin(c, conf_root(c), &m))
        return;
    global_read(c, conf_get(&m, "global"), p, &d);
    runtime_read(c, conf_get(&m, "runtime"));
    rule_files_read(&m, p);
    JobReader r = {.p = p, .defaults = &d, .vfs = vfs};
    jobs_read(&r, &m);
    more_jobs_read(&r, &m);
    ScrapeJob *jobs = r.jobs.len ? arena_array(conf_arena(c), ScrapeJob, r.jobs.len) : NULL;
    if (jobs) {
        memcpy(jobs, r.jobs.at, r.jobs.len * sizeof *jobs);
        p->jobs = jobs;
        p->jobs_len = (u32)r.jobs.len;
    }
    vec_done(&r.jobs);
    strmap_done(&r.names);
    conf_set_legacy_names(c, p->legacy_names);
    alerting_read(c, conf_get(&m, "alerting"), p);
    p->remote_write_len = conf_list(&m, "remote_write", &p->remote_write);
    RemoteWriteConfig *destinations = NULL;
    p->destinations_len = remote_write_read(c, p->remote_write, p->remote_write_len, &destinations);
    p->destinations = destinations;
    remote_read_read(&m, p);
    storage_read(c, conf_get(&m, "storage"), p);
    tracing_read(c, conf_get(&m, "tracing"));
    otlp_read(c, conf_get(&m, "otlp"), p->legacy_names);
    conf_map_end(&m);
}

static PromConfig *config_new(const char *path)
{
    PromConfig *p = mem_new(PromConfig);
    p->conf = conf_new(path);
    p->refs = 1;
    return p;
}

PromConfig *prom_config_read_text(Vfs *v, const char *path, Str text)
{
    PromConfig *p = config_new(path);
    if (conf_parse(p->conf, text))
        config_fill(p, v);
    return p;
}

PromConfig *prom_config_read(Vfs *v, const char *path)
{
    PromConfig *p = config_new(path);
    if (conf_load(v, p->conf, path))
        config_fill(p, v);
    return p;
}

Err prom_config_verdict(PromConfig *p, Why *why)
{
    TRY(conf_finish(p->conf, why));
    for (size_t i = 0; i < p->more_confs.len; i++)
        TRY(conf_finish(p->more_confs.at[i], why));
    return OK;
}

void prom_config_print_issues(PromConfig *p, Buf *out)
{
    conf_print_issues(p->conf, out);
    for (size_t i = 0; i < p->more_confs.len; i++)
        conf_print_issues(p->more_confs.at[i], out);
}

PromConfig *prom_config_ref(PromConfig *p)
{
    p->refs++;
    return p;
}

void prom_config_unref(PromConfig *p)
{
    if (!p || --p->refs)
        return;
    for (size_t i = 0; i < p->more_confs.len; i++)
        conf_free(p->more_confs.at[i]);
    vec_done(&p->more_confs);
    conf_free(p->conf);
    mem_free(p);
}
