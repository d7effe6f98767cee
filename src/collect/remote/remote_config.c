/* remote_write blocks of prometheus.yml, and private copies of them. */
#include "collect/remote/remote_internal.h"

void remote_write_config_init(RemoteWriteConfig *ret)
{
    *ret = (RemoteWriteConfig){
        .timeout_ms = 30000,
        .samples_per_send_max = 2000,
        .capacity = 10000,
        .shards_max = 50,
        .shards_min = 1,
        .batch_send_deadline_ms = 5000,
        .backoff_min_ms = 30,
        .backoff_max_ms = 5000,
        .send_metadata = true,
        .metadata_interval_ms = 60000,
        .metadata_per_send_max = 2000,
    };
}

/* ---- reading ---- */

static void read_queue(ConfMap *outer, RemoteWriteConfig *r)
{
    ConfMap m;
    const ConfNode *n = conf_get(outer, "queue_config");
    if (!n || !conf_map_begin(outer->conf, n, &m))
        return;
    r->capacity = (u32)conf_i64(&m, "capacity", r->capacity, 1, 100000000);
    r->shards_max = (u32)conf_i64(&m, "max_shards", r->shards_max, 1, 10000);
    r->shards_min = (u32)conf_i64(&m, "min_shards", r->shards_min, 1, 10000);
    r->samples_per_send_max = (u32)conf_i64(&m, "max_samples_per_send", r->samples_per_send_max, 1, 1000000);
    r->batch_send_deadline_ms = conf_duration(&m, "batch_send_deadline", r->batch_send_deadline_ms);
    r->backoff_min_ms = conf_duration(&m, "min_backoff", r->backoff_min_ms);
    r->backoff_max_ms = conf_duration(&m, "max_backoff", r->backoff_max_ms);
    r->retry_on_http_429 = conf_bool(&m, "retry_on_http_429", false);
    r->sample_age_limit_ms = conf_duration(&m, "sample_age_limit", 0);
    if (r->backoff_min_ms < 1)
        conf_error(m.conf, conf_get(&m, "min_backoff"), "must be at least 1ms");
    if (r->backoff_max_ms < r->backoff_min_ms)
        conf_error(m.conf, n, "max_backoff must not be below min_backoff");
    if (r->shards_max < r->shards_min)
        conf_error(m.conf, n, "max_shards must not be below min_shards");
    conf_map_end(&m);
}

static void read_metadata(ConfMap *outer, RemoteWriteConfig *r)
{
    ConfMap m;
    const ConfNode *n = conf_get(outer, "metadata_config");
    if (!n || !conf_map_begin(outer->conf, n, &m))
        return;
    r->send_metadata = conf_bool(&m, "send", true);
    r->metadata_interval_ms = conf_duration(&m, "send_interval", r->metadata_interval_ms);
    r->metadata_per_send_max =
        (u32)conf_i64(&m, "max_samples_per_send", r->metadata_per_send_max, 1, 1000000);
    if (r->metadata_interval_ms < 1)
        conf_error(m.conf, conf_get(&m, "send_interval"), "must be at least 1ms");
    conf_map_end(&m);
}

static bool header_is_sound(Str name, Str value)
{
    for (size_t i = 0; i < name.len; i++)
        if ((u8)name.at[i] <= ' ' || (u8)name.at[i] >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", name.at[i]))
            return false;
    for (size_t i = 0; i < value.len; i++)
        if (((u8)value.at[i] < ' ' && value.at[i] != '\t') || value.at[i] == 0x7f)
            return false;
    return name.len > 0;
}

static void read_headers(ConfMap *m, RemoteWriteConfig *r)
{
    Conf *c = m->conf;
    const ConfNode *n = conf_get(m, "headers");
    if (conf_node_is_null(n))
        return;
    if (n->kind != CONF_MAP) {
        conf_error(c, n, "must be a map of header names to values");
        return;
    }
    HttpHeader *at = arena_array(conf_arena(c), HttpHeader, n->len);
    if (!at)
        return;
    for (u32 i = 0; i < n->len; i++) {
        Str name = n->keys[i].text, value = conf_scalar(c, &n->items[i], m->expand);
        if (conf_header_is_reserved(name))
            conf_error(
                c, &n->keys[i],
                "is a header that remote write sets itself; for credentials use basic_auth or authorization");
        else if (!header_is_sound(name, value))
            conf_error(c, &n->keys[i], "is not a header name with a single-line value");
        else
            at[r->headers_len++] = (HttpHeader){name, value};
    }
    r->headers = at;
}

/* Signing schemes of clouds: known words, not built. Sending without them would lose every sample to 401 answers. */
static bool needs_foreign_signing(ConfMap *m)
{
    static const char *const words[] = {"sigv4", "azuread", "google_iam"};
    bool any = false;
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        const ConfNode *n = conf_get(m, words[i]);
        if (!conf_node_is_null(n)) {
            conf_warn(m->conf, n, "%s is not supported yet: this remote_write is skipped", words[i]);
            any = true;
        }
    }
    return any;
}

static bool read_protocol(ConfMap *m)
{
    const ConfNode *n = conf_get(m, "protobuf_message");
    if (!n)
        return false;
    Str s = conf_scalar(m->conf, n, m->expand);
    bool is_v2 = str_eq(s, S("io.prometheus.write.v2.Request"));
    if (!is_v2 && !str_eq(s, S("prometheus.WriteRequest")))
        conf_error(m->conf, n, "must be prometheus.WriteRequest or io.prometheus.write.v2.Request");
    return is_v2;
}

/* false: leave this destination out */
static bool read_one(Conf *c, const ConfNode *node, RemoteWriteConfig *r)
{
    ConfMap m;
    remote_write_config_init(r);
    if (!conf_map_begin(c, node, &m))
        return false;
    const ConfNode *url_node = conf_get(&m, "url");
    r->url = str_trim(conf_need_str(&m, "url"));
    r->name = conf_str(&m, "name", S(""));
    r->timeout_ms = conf_duration(&m, "remote_timeout", r->timeout_ms);
    read_headers(&m, r);
    r->relabel = conf_relabel(&m, "write_relabel_configs");
    r->send_exemplars = conf_bool(&m, "send_exemplars", false);
    r->send_native_histograms = conf_bool(&m, "send_native_histograms", false);
    conf_bool(&m, "round_robin_dns", false);
    read_queue(&m, r);
    read_metadata(&m, r);
    r->is_v2 = read_protocol(&m);
    bool foreign = needs_foreign_signing(&m);
    conf_http_client(&m, &r->http);
    conf_map_end(&m);
    if (!r->url.len) {
        if (url_node)
            conf_warn(c, url_node, "the URL is empty: this remote_write is skipped");
        return false;
    }
    Url u;
    Why why;
    if (url_parse(r->url, &u, &why) != OK || !u.host.len ||
        !(str_eq_nocase(u.scheme, S("http")) || str_eq_nocase(u.scheme, S("https")))) {
        conf_error(c, url_node, "must be an http:// or https:// URL");
        return false;
    }
    if (r->timeout_ms < 1)
        conf_error(c, conf_get(&m, "remote_timeout"), "must be at least 1ms");
    return !foreign;
}

static bool same_identity(const RemoteWriteConfig *a, const RemoteWriteConfig *b)
{
    return str_eq(a->name, b->name) && (a->name.len || str_eq(a->url, b->url));
}

u32 remote_write_read(Conf *c, const ConfNode *items, u32 n, RemoteWriteConfig **ret)
{
    RemoteWriteConfig *at = arena_array(conf_arena(c), RemoteWriteConfig, n ? n : 1);
    u32 len = 0;
    *ret = at;
    if (!at)
        return 0;
    for (u32 i = 0; i < n; i++) {
        if (!read_one(c, &items[i], &at[len]))
            continue;
        bool twice = false;
        for (u32 k = 0; k < len && !twice; k++)
            twice = same_identity(&at[k], &at[len]);
        if (twice)
            conf_error(c, &items[i], "the same remote_write is there already: give each a name of its own");
        else if (len == REMOTE_DESTINATIONS_MAX)
            conf_error(c, &items[i], "at most %d destinations are possible", REMOTE_DESTINATIONS_MAX);
        else
            len++;
    }
    return len;
}

/* ---- private copies ---- */

static void dup_in(Arena *a, Str *s)
{
    *s = s->at ? arena_dup(a, *s) : S("");
}

static const Str *dup_strs(Arena *a, const Str *at, u32 n)
{
    Str *r = arena_array(a, Str, n ? n : 1);
    for (u32 i = 0; r && i < n; i++)
        r[i] = arena_dup(a, at[i]);
    return r;
}

static const HttpHeader *dup_headers(Arena *a, const HttpHeader *at, u32 n)
{
    HttpHeader *r = arena_array(a, HttpHeader, n ? n : 1);
    for (u32 i = 0; r && i < n; i++)
        r[i] = (HttpHeader){arena_dup(a, at[i].name), arena_dup(a, at[i].value)};
    return r;
}

static void dup_http(Arena *a, HttpClientConfig *h)
{
    Str *strs[] = {&h->basic_username,
                   &h->basic_username_file,
                   &h->basic_password_file,
                   &h->basic_password.hidden,
                   &h->auth_type,
                   &h->auth_credentials_file,
                   &h->auth_credentials.hidden,
                   &h->oauth2.client_id,
                   &h->oauth2.client_secret_file,
                   &h->oauth2.token_url,
                   &h->oauth2.client_secret.hidden,
                   &h->tls.ca,
                   &h->tls.ca_file,
                   &h->tls.cert,
                   &h->tls.cert_file,
                   &h->tls.key_file,
                   &h->tls.server_name,
                   &h->tls.min_version,
                   &h->tls.max_version,
                   &h->tls.key.hidden,
                   &h->proxy_url,
                   &h->no_proxy};
    for (size_t i = 0; i < COUNT_OF(strs); i++)
        dup_in(a, strs[i]);
    h->oauth2.scopes = dup_strs(a, h->oauth2.scopes, h->oauth2.scopes_len);
    h->oauth2.endpoint_params = dup_headers(a, h->oauth2.endpoint_params, h->oauth2.endpoint_params_len);
    h->headers = dup_headers(a, h->headers, h->headers_len);
}

static Err dup_relabel(DestConf *d, Why *why)
{
    RelabelRules from = d->c.relabel;
    RelabelRule *at = arena_array(&d->arena, RelabelRule, from.len ? from.len : 1);
    if (!at)
        return why_set(why, E_LIMIT, "write_relabel_configs are too large");
    for (u32 i = 0; i < from.len; i++) {
        RelabelRule *r = &at[i];
        *r = from.at[i];
        r->source_labels = (Str *)dup_strs(&d->arena, r->source_labels, r->source_labels_len);
        dup_in(&d->arena, &r->separator);
        dup_in(&d->arena, &r->regex_text);
        dup_in(&d->arena, &r->target_label);
        dup_in(&d->arena, &r->replacement);
        r->regex = NULL;
        TRY(regex_new(r->regex_text, REGEX_ANCHORED, &r->regex, why));
        vec_push(&d->regexes, r->regex);
    }
    d->c.relabel = (RelabelRules){at, from.len};
    return OK;
}

DestConf *dest_conf_new(const RemoteWriteConfig *c, Labels external, Str id, Why *why)
{
    DestConf *d = mem_new(DestConf);
    d->refs = 1;
    d->c = *c;
    arena_init(&d->arena, NULL, 16 << 20);
    dup_in(&d->arena, &d->c.name);
    dup_in(&d->arena, &d->c.url);
    dup_http(&d->arena, &d->c.http);
    d->c.headers = dup_headers(&d->arena, c->headers, c->headers_len);
    d->external = labels_dup(&d->arena, external);
    Err e = dup_relabel(d, why);
    if (e == OK && arena_over(&d->arena))
        e = why_set(why, E_LIMIT, "the settings of remote_write are too large");
    if (e != OK) {
        dest_conf_unref(d);
        return NULL;
    }
    d->lanes = dest_lanes(&d->c);
    d->samples_per_send = MIN(d->c.samples_per_send_max, d->c.capacity);
    dest_metrics_init(&d->m, &d->c, id);
    return d;
}

DestConf *dest_conf_ref(DestConf *c)
{
    c->refs++;
    return c;
}

void dest_conf_unref(DestConf *c)
{
    if (!c || --c->refs)
        return;
    for (size_t i = 0; i < c->regexes.len; i++)
        regex_free(c->regexes.at[i]);
    vec_done(&c->regexes);
    arena_done(&c->arena);
    mem_free(c);
}
