/* Receivers: the fields of an integration, read by its table (receiver_tables.c); what a table cannot say is checked in
 * receiver_checks.c. */
#include "alert/alert_internal.h"
#include "alert/notify/notify.h"

#include <stdio.h>

/* ---- values ---- */
static const FieldValue no_value;

const FieldValue *fields_find(const FieldSpec *spec, u32 len, const FieldValue *v, const char *name)
{
    for (u32 i = 0; v && i < len; i++)
        if (!strcmp(spec[i].name, name))
            return &v[i];
    return &no_value;
}

const FieldValue *integration_field(const IntegrationConfig *c, const char *name)
{
    const IntegrationSpec *s = &integration_specs[c->kind];
    return fields_find(s->fields, s->len, c->fields, name);
}

Str integration_text(const IntegrationConfig *c, const char *name)
{
    return integration_field(c, name)->text;
}

bool integration_is_on(const IntegrationConfig *c, const char *name)
{
    return integration_field(c, name)->num != 0;
}

const char *integration_kind_name(IntegrationKind k)
{
    return integration_specs[k].name;
}

/* ---- reading ---- */
static void warn_template(ConfigReader *r, const ConfNode *at, Str text)
{
    Arena arena;
    Why why = {0};
    arena_init(&arena, NULL, 64 << 20);
    if (tmpl_check(r->c->templates, S(""), text, &arena, &why) != OK)
        conf_warn(r->conf, at, "%s: alerts will be sent with this error in them", why.text);
    arena_done(&arena);
}

/* Never quotes: it may be a secret. */
static void check_url(ConfigReader *r, const ConfNode *at, const char *name, Str text)
{
    Url u;
    if (url_parse(text, &u, NULL) != OK || !u.host.len ||
        !(str_eq(u.scheme, S("http")) || str_eq(u.scheme, S("https"))))
        conf_error(r->conf, at, "%s is not a URL that begins with http:// or https://", name);
}

static void check_hostport(ConfigReader *r, const ConfNode *at, Str s)
{
    size_t colon = s.len;
    while (colon > 0 && s.at[colon - 1] != ':')
        colon--;
    Str host = str_sub(s, 0, colon ? colon - 1 : 0);
    bool bracketed = host.len >= 2 && host.at[0] == '[' && host.at[host.len - 1] == ']';
    if (!s.len)
        return;
    if (!colon)
        conf_error(r->conf, at, "address %.*s: missing port: write host:port", STR_FMT(s));
    else if (!bracketed && str_find_char(host, ':') != SIZE_MAX)
        conf_error(r->conf, at, "address %.*s: too many colons: put an IPv6 address in [ ]", STR_FMT(s));
    else if (colon == s.len)
        conf_error(r->conf, at, "address %.*s: port cannot be empty", STR_FMT(s));
}

static i64 read_go_duration(ConfigReader *r, const ConfNode *n, bool bare_ns)
{
    Str s = conf_scalar(r->conf, n, true);
    i64 ns = 0;
    Why why = {0};
    if (bare_ns && !n->is_quoted && parse_i64(s, &ns) == OK)
        return ns;
    if (parse_go_duration_ns(s, &ns, &why) != OK)
        conf_error(r->conf, n, "%s: write 10s, 1m30s or 2h", why.text);
    return ns;
}

static Labels read_map(ConfigReader *r, const ConfNode *n)
{
    if (conf_node_is_null(n))
        return (Labels){0};
    if (n->kind != CONF_MAP) {
        conf_error(r->conf, n, "want a map of names to texts");
        return (Labels){0};
    }
    Label *at = arena_array(&r->c->arena, Label, n->len + 1);
    u32 len = 0;
    for (u32 i = 0; at && i < n->len; i++)
        at[len++] = (Label){n->keys[i].text, conf_scalar(r->conf, &n->items[i], false)};
    return (Labels){at, len};
}

static FieldValue read_sub(ConfigReader *r, const ConfNode *n, const FieldSpec *s)
{
    FieldValue v = {.node = n};
    ConfMap m;
    if (conf_node_is_null(n) || !conf_map_begin(r->conf, n, &m))
        return v;
    v.is_set = true;
    v.sub = fields_read(r, &m, s->sub, s->sub_len);
    conf_map_end(&m);
    for (u32 i = 0; v.sub && i < s->sub_len; i++)
        if (s->sub[i].need && !v.sub[i].text.len)
            conf_error(r->conf, n, "missing %s", s->sub[i].name);
    return v;
}

static void read_sublist(ConfigReader *r, ConfMap *m, const FieldSpec *s, FieldValue *v)
{
    const ConfNode *items;
    u32 n = conf_list(m, s->name, &items);
    FieldValue *at = arena_array(&r->c->arena, FieldValue, n + 1);
    for (u32 i = 0; at && i < n; i++)
        at[i] = read_sub(r, &items[i], s);
    v->sub = at;
    v->len = at ? n : 0;
}

static void read_secret(ConfigReader *r, ConfMap *m, const FieldSpec *s, FieldValue *v)
{
    bool expand = m->expand;
    m->expand = s->kind != F_TMPL_URL;
    v->text = secret_reveal(conf_secret(m, s->name));
    m->expand = expand;
    if (s->kind == F_SECRET || !v->is_set || str_eq(v->text, S(SECRET_TEXT)))
        return;
    if (s->kind == F_TMPL_URL && str_find(v->text, S("{{")) != SIZE_MAX)
        warn_template(r, v->node, v->text);
    else if (s->kind != F_TMPL_URL || v->text.len)
        check_url(r, v->node, s->name, v->text);
}

static void read_field(ConfigReader *r, ConfMap *m, const FieldSpec *s, FieldValue *v)
{
    Str dflt = str_c(s->dflt);
    bool expand = m->expand;
    v->node = conf_get(m, s->name);
    v->is_set = conf_has(m, s->name);
    switch (s->kind) {
    case F_TMPL:
        m->expand = false;
        v->text = conf_str(m, s->name, dflt);
        m->expand = expand;
        if (v->is_set && str_find(v->text, S("{{")) != SIZE_MAX)
            warn_template(r, v->node, v->text);
        break;
    case F_TEXT:
        v->text = conf_str(m, s->name, dflt);
        break;
    case F_FILE:
        v->text = conf_str(m, s->name, dflt);
        if (v->text.len)
            v->text = conf_file_path(r->conf, v->text);
        break;
    case F_BOOL:
        v->num = conf_bool(m, s->name, false);
        break;
    case F_I64:
        v->num = conf_i64(m, s->name, 0, INT64_MIN, INT64_MAX);
        break;
    case F_U64:
        v->num = conf_i64(m, s->name, 0, 0, INT64_MAX);
        break;
    case F_SECRET:
    case F_SECRET_URL:
    case F_TMPL_URL:
        read_secret(r, m, s, v);
        if (!v->is_set)
            v->text = dflt;
        break;
    case F_URL:
        v->text = conf_str(m, s->name, dflt);
        if (v->is_set)
            check_url(r, v->node, s->name, v->text);
        break;
    case F_HOSTPORT:
        v->text = conf_str(m, s->name, dflt);
        check_hostport(r, v->node, v->text);
        break;
    case F_GO_DURATION:
        v->num = v->is_set ? read_go_duration(r, v->node, true) : 0;
        break;
    case F_TEXT_DURATION:
        if (v->is_set)
            v->num = read_go_duration(r, v->node, false);
        else if (dflt.len)
            check(parse_go_duration_ns(dflt, &v->num, NULL) == OK);
        break;
    case F_DURATION:
        v->num = conf_duration(m, s->name, 0);
        break;
    case F_MAP:
        if (v->node)
            v->map = read_map(r, v->node);
        break;
    case F_STRS:
        v->len = conf_strs(m, s->name, &v->strs);
        break;
    case F_TLS:
        if (v->is_set) {
            TlsConfig *tls = arena_new(&r->c->arena, TlsConfig);
            conf_tls(m, s->name, tls);
            v->tls = tls;
        }
        break;
    case F_ANY:
        break;
    case F_SUB:
        if (v->node)
            *v = read_sub(r, v->node, s);
        break;
    case F_LIST:
        read_sublist(r, m, s, v);
        break;
    }
}

FieldValue *fields_read(ConfigReader *r, ConfMap *m, const FieldSpec *spec, u32 len)
{
    FieldValue *v = arena_array(&r->c->arena, FieldValue, len + 1);
    if (!v)
        return NULL;
    memset(v, 0, (len + 1) * sizeof *v);
    for (u32 i = 0; i < len; i++)
        read_field(r, m, &spec[i], &v[i]);
    return v;
}

static bool has_authorization(const ConfNode *http)
{
    for (u32 i = 0; http && http->kind == CONF_MAP && i < http->len; i++)
        if (str_eq(http->keys[i].text, S("authorization")) || str_eq(http->keys[i].text, S("bearer_token")) ||
            str_eq(http->keys[i].text, S("bearer_token_file")))
            return !conf_node_is_null(&http->items[i]);
    return false;
}

void integration_read(ConfigReader *r, const ConfNode *n, IntegrationKind kind, IntegrationConfig *ret)
{
    const IntegrationSpec *s = &integration_specs[kind];
    ConfMap m;
    ret->kind = kind;
    ret->http = r->http;
    bool lenient = kind == INTEGRATION_SLACK || kind == INTEGRATION_OPSGENIE || kind == INTEGRATION_WECHAT ||
                   kind == INTEGRATION_ROCKETCHAT || kind == INTEGRATION_NTFY;
    if (conf_node_is_null(n) && !lenient) {
        conf_error(r->conf, n, "missing %s config", s->name);
        return;
    }
    if (!conf_map_begin(r->conf, n, &m))
        return;
    ret->send_resolved = conf_bool(&m, "send_resolved", s->send_resolved);
    const ConfNode *http = kind == INTEGRATION_EMAIL ? NULL : conf_get(&m, "http_config");
    if (kind != INTEGRATION_EMAIL)
        ret->http = config_read_http(r, &m);
    ret->fields = fields_read(r, &m, s->fields, s->len);
    conf_map_end(&m);
    if (!ret->fields)
        return;
    integration_check(r, n, ret, http && !conf_node_is_null(http), has_authorization(http));
    if (!s->is_sent)
        conf_warn(r->conf, n, "%s is not built yet: nothing is sent there", s->key);
}
