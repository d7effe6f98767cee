/* Service discovery blocks: static, file, DNS and HTTP are read; the other kinds of Prometheus are checked where that is cheap
 * and loaded with a warning, so that a configuration that uses them still runs its other jobs. */
#include "collect/collect_internal.h"

/* ---- static ---- */

static bool group_read(Conf *c, const ConfNode *n, bool expand, bool check_addresses, u32 index,
                       TargetGroup *ret)
{
    ConfMap m;
    if (conf_node_is_null(n)) {
        conf_error(c, n, "an empty static configuration: give it targets or remove the dash");
        return false;
    }
    if (!conf_map_begin(c, n, &m))
        return false;
    m.expand = expand;
    const ConfNode *targets;
    u32 len = conf_list(&m, "targets", &targets);
    Labels *at = len ? arena_array(conf_arena(c), Labels, len) : NULL;
    for (u32 i = 0; at && i < len; i++) {
        Label *address = arena_new(conf_arena(c), Label);
        *address = (Label){S("__address__"), conf_scalar(c, &targets[i], expand)};
        at[i] = (Labels){address, 1};
        if (check_addresses && str_find_char(address->value, '/') != SIZE_MAX)
            conf_error(c, &targets[i],
                       "\"%.*s\" is not host:port; the scheme and path belong in `scheme` and `metrics_path`",
                       STR_FMT(str_sub(address->value, 0, 100)));
    }
    ret->labels = conf_labels(&m, "labels");
    ret->targets = at;
    ret->targets_len = at ? len : 0;
    ret->source = arena_printf(conf_arena(c), "%u", index);
    conf_map_end(&m);
    return true;
}

static void statics_read(ConfMap *m, bool check_addresses, SdConfigs *ret)
{
    const ConfNode *items;
    u32 n = conf_list(m, "static_configs", &items), len = 0;
    TargetGroup *at = n ? arena_array(conf_arena(m->conf), TargetGroup, n) : NULL;
    for (u32 i = 0; at && i < n; i++) {
        at[len] = (TargetGroup){0};
        len += group_read(m->conf, &items[i], m->expand, check_addresses, i, &at[len]);
    }
    ret->statics = at;
    ret->statics_len = len;
}

/* ---- file, DNS, HTTP ---- */

static bool sd_pattern_is_valid(Str p)
{
    static const char *const ends[] = {".json", ".yml", ".yaml", ".JSON", ".YML", ".YAML"};
    bool known = false;
    for (size_t i = 0; i < COUNT_OF(ends); i++)
        known = known || str_ends(p, str_c(ends[i]));
    return known && path_pattern_is_valid(p);
}

static u32 kind_begin(ConfMap *m, const char *key, const ConfNode **ret_items)
{
    u32 n = conf_list(m, key, ret_items);
    for (u32 i = 0; i < n; i++)
        if (conf_node_is_null(&(*ret_items)[i]))
            conf_error(m->conf, &(*ret_items)[i],
                       "an empty discovery configuration: fill it in or remove the dash");
    return n;
}

static void files_read(ConfMap *m, SdConfigs *ret)
{
    const ConfNode *items;
    u32 n = kind_begin(m, "file_sd_configs", &items);
    FileSd *at = n ? arena_array(conf_arena(m->conf), FileSd, n) : NULL;
    for (u32 i = 0; at && i < n; i++) {
        ConfMap f;
        at[i] = (FileSd){0};
        if (conf_node_is_null(&items[i]) || !conf_map_begin(m->conf, &items[i], &f))
            continue;
        const Str *names;
        u32 len = conf_strs(&f, "files", &names);
        if (len == 0)
            conf_error(m->conf, &items[i], "file discovery needs at least one path in files");
        Str *patterns = len ? arena_array(conf_arena(m->conf), Str, len) : NULL;
        for (u32 k = 0; patterns && k < len; k++) {
            patterns[k] = conf_file_path(m->conf, names[k]);
            if (!sd_pattern_is_valid(names[k]))
                conf_error(m->conf, conf_get(&f, "files"),
                           "\"%.*s\" must end in .json, .yml or .yaml and may have one * in its last part",
                           STR_FMT(str_sub(names[k], 0, 100)));
        }
        at[i].patterns = patterns;
        at[i].patterns_len = patterns ? len : 0;
        at[i].refresh_ms = conf_duration(&f, "refresh_interval", 5 * 60 * MS_PER_SEC);
        conf_map_end(&f);
    }
    ret->files = at;
    ret->files_len = at ? n : 0;
}

static void dns_read(ConfMap *m, SdConfigs *ret)
{
    static const char *const types[] = {"SRV", "A", "AAAA", "MX"};
    const ConfNode *items;
    u32 n = kind_begin(m, "dns_sd_configs", &items);
    DnsSd *at = n ? arena_array(conf_arena(m->conf), DnsSd, n) : NULL;
    for (u32 i = 0; at && i < n; i++) {
        ConfMap d;
        at[i] = (DnsSd){0};
        if (conf_node_is_null(&items[i]) || !conf_map_begin(m->conf, &items[i], &d))
            continue;
        at[i].names_len = conf_strs(&d, "names", &at[i].names);
        const ConfNode *type = conf_get(&d, "type");
        Str text = conf_scalar(m->conf, type, d.expand);
        u32 t = 0;
        while (type && t < 4 && !str_eq_nocase(text, str_c(types[t])))
            t++;
        if (t == 4)
            conf_error(m->conf, type, "must be SRV, A, AAAA or MX");
        at[i].type = (DnsSdType)(t & 3);
        at[i].port = (u32)conf_i64(&d, "port", 0, 0, 65535);
        at[i].refresh_ms = conf_duration(&d, "refresh_interval", 30 * MS_PER_SEC);
        if (at[i].names_len == 0)
            conf_error(m->conf, &items[i], "DNS discovery needs at least one name in names");
        if (at[i].type != DNS_SRV && at[i].port == 0)
            conf_error(m->conf, &items[i], "DNS discovery of type %s needs a port", types[t & 3]);
        conf_map_end(&d);
    }
    ret->dns = at;
    ret->dns_len = at ? n : 0;
}

static void http_url_check(Conf *c, const ConfNode *at, const ConfNode *n, Str url)
{
    Url u;
    Why why;
    if (url.len == 0)
        conf_error(c, at, "the field url is missing");
    else if (url_parse(url, &u, &why) != OK)
        conf_error(c, n, "is not a URL such as http://host:port/path: %s", why.text);
    else if (!str_eq(u.scheme, S("http")) && !str_eq(u.scheme, S("https")))
        conf_error(c, n, "must start with http:// or https://");
    else if (u.host.len == 0)
        conf_error(c, n, "the URL has no host");
}

static void https_read(ConfMap *m, SdConfigs *ret)
{
    const ConfNode *items;
    u32 n = kind_begin(m, "http_sd_configs", &items);
    HttpSd *at = n ? arena_array(conf_arena(m->conf), HttpSd, n) : NULL;
    for (u32 i = 0; at && i < n; i++) {
        ConfMap h;
        at[i] = (HttpSd){0};
        if (conf_node_is_null(&items[i]) || !conf_map_begin(m->conf, &items[i], &h))
            continue;
        at[i].url = conf_str(&h, "url", S(""));
        http_url_check(m->conf, &items[i], conf_get(&h, "url"), at[i].url);
        at[i].refresh_ms = conf_duration(&h, "refresh_interval", 60 * MS_PER_SEC);
        conf_http_client(&h, &at[i].http);
        conf_map_end(&h);
    }
    ret->https = at;
    ret->https_len = at ? n : 0;
}

/* ---- kinds that are not built yet ---- */

typedef enum SdAuth { AUTH_NONE, AUTH_HTTP } SdAuth;
typedef struct SdKind {
    const char *name, *key;
    const char *needs;  /* fields that must not be empty, "a b"; "a|b" = exactly one of both */
    const char *choice; /* "field:v1,v2": if set, must be one of these */
    const char *url;    /* field that must be an http(s) URL when set */
    SdAuth auth;        /* the inline http_config fields are checked */
} SdKind;
static const SdKind other_kinds[] = {
    {"azure", "azure_sd_configs", "subscription_id",
     "authentication_method:OAuth,ManagedIdentity,SDK,WorkloadIdentity", NULL, AUTH_HTTP},
    {"consul", "consul_sd_configs", NULL, NULL, NULL, AUTH_HTTP},
    {"digitalocean", "digitalocean_sd_configs", NULL, NULL, NULL, AUTH_HTTP},
    {"docker", "docker_sd_configs", "host", NULL, NULL, AUTH_HTTP},
    {"dockerswarm", "dockerswarm_sd_configs", "host role", "role:services,nodes,tasks", NULL, AUTH_HTTP},
    {"ec2", "ec2_sd_configs", NULL, NULL, NULL, AUTH_HTTP},
    {"aws", "aws_sd_configs", NULL, NULL, NULL, AUTH_HTTP},
    {"ecs", "ecs_sd_configs", NULL, NULL, NULL, AUTH_HTTP},
    {"msk", "msk_sd_configs", NULL, NULL, NULL, AUTH_HTTP},
    {"rds", "rds_sd_configs", NULL, NULL, NULL, AUTH_HTTP},
    {"elasticache", "elasticache_sd_configs", NULL, NULL, NULL, AUTH_HTTP},
    {"lightsail", "lightsail_sd_configs", NULL, NULL, NULL, AUTH_HTTP},
    {"eureka", "eureka_sd_configs", "server", NULL, "server", AUTH_HTTP},
    {"gce", "gce_sd_configs", "project zone", NULL, NULL, AUTH_NONE},
    {"hetzner", "hetzner_sd_configs", "role", "role:robot,hcloud", NULL, AUTH_HTTP},
    {"ionos", "ionos_sd_configs", "datacenter_id", NULL, NULL, AUTH_HTTP},
    {"kubernetes", "kubernetes_sd_configs", "role", "role:node,pod,service,endpoints,endpointslice,ingress",
     NULL, AUTH_HTTP},
    {"kuma", "kuma_sd_configs", "server", NULL, "server", AUTH_HTTP},
    {"linode", "linode_sd_configs", NULL, NULL, NULL, AUTH_HTTP},
    {"marathon", "marathon_sd_configs", "servers", NULL, NULL, AUTH_HTTP},
    {"nerve", "nerve_sd_configs", "servers paths", NULL, NULL, AUTH_NONE},
    {"nomad", "nomad_sd_configs", NULL, NULL, "server", AUTH_HTTP},
    {"oci", "oci_sd_configs", "region",
     "auth:user_principal,instance_principal,resource_principal,oke_workload_identity,api_key", NULL,
     AUTH_NONE},
    {"openstack", "openstack_sd_configs", "role", "role:instance,hypervisor,loadbalancer", NULL, AUTH_NONE},
    {"outscale", "outscale_sd_configs", "region access_key secret_key|secret_key_file", NULL, NULL,
     AUTH_HTTP},
    {"ovhcloud", "ovhcloud_sd_configs", "application_key application_secret consumer_key",
     "service:vps,dedicated_server", NULL, AUTH_NONE},
    {"puppetdb", "puppetdb_sd_configs", "url query", NULL, "url", AUTH_HTTP},
    {"scaleway", "scaleway_sd_configs", "role project_id access_key secret_key|secret_key_file",
     "role:instance,baremetal", NULL, AUTH_HTTP},
    {"serverset", "serverset_sd_configs", "servers paths", NULL, NULL, AUTH_NONE},
    {"stackit", "stackit_sd_configs", NULL, NULL, "endpoint", AUTH_HTTP},
    {"triton", "triton_sd_configs", "account dns_suffix endpoint", NULL, NULL, AUTH_NONE},
    {"uyuni", "uyuni_sd_configs", "server username password", NULL, NULL, AUTH_HTTP},
    {"vultr", "vultr_sd_configs", NULL, NULL, NULL, AUTH_HTTP},
};

static const ConfNode *value_of(ConfMap *m, Str field)
{
    for (u32 i = 0; m->node && i < m->node->len; i++)
        if (str_eq(m->node->keys[i].text, field))
            return &m->node->items[i];
    return NULL;
}

static bool has_value(ConfMap *m, Str field)
{
    const ConfNode *n = value_of(m, field);
    return !conf_node_is_null(n) && (n->kind == CONF_SCALAR ? n->text.len != 0 : n->len != 0);
}

static void kind_needs(ConfMap *m, const SdKind *k)
{
    for (Str rest = str_c(k->needs), field; rest.len;) {
        Str one, other;
        str_cut(rest, ' ', &field, &rest);
        if (str_cut(field, '|', &one, &other)) {
            bool a = has_value(m, one), b = has_value(m, other);
            if (a == b)
                conf_error(m->conf, m->node, "%s discovery needs exactly one of %.*s and %.*s", k->name,
                           STR_FMT(one), STR_FMT(other));
        } else if (!has_value(m, field)) {
            conf_error(m->conf, m->node, "%s discovery needs %.*s", k->name, STR_FMT(field));
        }
    }
}

static void kind_choice(ConfMap *m, const SdKind *k)
{
    Str field, values, value;
    if (!k->choice)
        return;
    str_cut(str_c(k->choice), ':', &field, &values);
    const ConfNode *n = value_of(m, field);
    if (conf_node_is_null(n))
        return;
    for (Str rest = values; rest.len;) {
        str_cut(rest, ',', &value, &rest);
        if (str_eq(conf_scalar(m->conf, n, m->expand), value))
            return;
    }
    conf_error(m->conf, n, "must be one of %.*s", STR_FMT(values));
}

static u32 fields_set(ConfMap *m, const char *fields)
{
    u32 n = 0;
    for (Str rest = str_c(fields), field; rest.len;) {
        str_cut(rest, ' ', &field, &rest);
        n += has_value(m, field);
    }
    return n;
}

#define HTTP_FIELDS                                                                                          \
    "basic_auth authorization oauth2 bearer_token bearer_token_file tls_config proxy_url http_headers"

/* Field selectors are "a=b,c!=d". */
static bool field_selector_is_valid(Str s)
{
    for (Str rest = s, part; rest.len;) {
        str_cut(rest, ',', &part, &rest);
        if (str_find_char(part, '=') == SIZE_MAX || part.at[0] == '=')
            return false;
    }
    return true;
}

static void kubernetes_selectors(ConfMap *m, Str role)
{
    static const struct {
        const char *role, *allowed;
    } rules[] = {{"pod", "pod node"},
                 {"service", "service"},
                 {"endpoints", "endpoints pod service"},
                 {"endpointslice", "endpointslice pod service"},
                 {"node", "node"},
                 {"ingress", "ingress"}};
    const ConfNode *list = value_of(m, S("selectors"));
    Str seen[16];
    u32 seen_len = 0;
    for (u32 i = 0; list && list->kind == CONF_LIST && i < list->len; i++) {
        ConfMap s;
        bool allowed = false;
        if (!conf_map_begin(m->conf, &list->items[i], &s))
            continue;
        Str which = conf_str(&s, "role", S("")), field = conf_str(&s, "field", S(""));
        conf_str(&s, "label", S(""));
        conf_map_end(&s);
        for (u32 k = 0; k < seen_len; k++)
            if (str_eq(seen[k], which))
                conf_error(m->conf, &list->items[i], "a second selector for the role %.*s", STR_FMT(which));
        if (seen_len < COUNT_OF(seen))
            seen[seen_len++] = which;
        for (size_t k = 0; k < COUNT_OF(rules); k++)
            for (Str rest = str_c(rules[k].allowed), word; str_eq(role, str_c(rules[k].role)) && rest.len;) {
                str_cut(rest, ' ', &word, &rest);
                allowed = allowed || str_eq(word, which);
            }
        if (!allowed)
            conf_error(m->conf, &list->items[i], "the role %.*s takes no selector for \"%.*s\"",
                       STR_FMT(role), STR_FMT(which));
        if (!field_selector_is_valid(field))
            conf_error(m->conf, &list->items[i],
                       "a field selector is written name=value, separated by commas");
    }
}

static void kubernetes_check(ConfMap *m)
{
    bool api = has_value(m, S("api_server")), kubeconfig = has_value(m, S("kubeconfig_file"));
    bool http = fields_set(m, HTTP_FIELDS) != 0;
    if (api && kubeconfig)
        conf_error(m->conf, m->node, "at most one of api_server and kubeconfig_file may be set");
    if (kubeconfig && http)
        conf_error(m->conf, m->node, "kubeconfig_file brings its own credentials: remove the HTTP settings");
    if (!api && !kubeconfig && http)
        conf_error(m->conf, m->node, "HTTP settings need api_server");
    const ConfNode *ns = value_of(m, S("namespaces"));
    ConfMap n;
    if (!conf_node_is_null(ns) && conf_map_begin(m->conf, ns, &n)) {
        const Str *names;
        conf_strs(&n, "names", &names);
        if (conf_bool(&n, "own_namespace", false) && (api || kubeconfig))
            conf_error(m->conf, ns,
                       "own_namespace works only inside a cluster, without api_server and kubeconfig_file");
        conf_map_end(&n);
    }
    kubernetes_selectors(m, conf_scalar(m->conf, value_of(m, S("role")), m->expand));
}

static void azure_check(ConfMap *m)
{
    const ConfNode *method = value_of(m, S("authentication_method"));
    Str name = conf_scalar(m->conf, method, m->expand);
    if (name.len && !str_eq(name, S("OAuth")))
        return;
    static const char *const needs[] = {"tenant_id", "client_id", "client_secret"};
    for (size_t i = 0; i < COUNT_OF(needs); i++)
        if (!has_value(m, str_c(needs[i])))
            conf_error(m->conf, m->node, "azure discovery with OAuth needs %s", needs[i]);
}

static void special_check(ConfMap *m, const SdKind *k)
{
    if (strcmp(k->name, "kubernetes") == 0)
        kubernetes_check(m);
    if (strcmp(k->name, "azure") == 0)
        azure_check(m);
    if (strcmp(k->name, "marathon") == 0) {
        if (fields_set(m, "auth_token auth_token_file") > 1)
            conf_error(m->conf, m->node, "at most one of auth_token and auth_token_file may be set");
        if (fields_set(m, "auth_token auth_token_file") &&
            fields_set(m, "basic_auth authorization bearer_token bearer_token_file"))
            conf_error(m->conf, m->node, "auth_token cannot be used together with other credentials");
    }
    if (strcmp(k->name, "openstack") == 0) {
        const ConfNode *n = value_of(m, S("availability"));
        Str v = conf_scalar(m->conf, n, m->expand);
        if (n && !str_eq(v, S("public")) && !str_eq(v, S("admin")) && !str_eq(v, S("internal")))
            conf_error(m->conf, n, "must be one of public, admin, internal");
    }
    const ConfNode *filters = strcmp(k->name, "ec2") == 0 ? value_of(m, S("filters")) : NULL;
    for (u32 i = 0; filters && filters->kind == CONF_LIST && i < filters->len; i++) {
        ConfMap f;
        const Str *values;
        if (!conf_map_begin(m->conf, &filters->items[i], &f))
            continue;
        conf_need_str(&f, "name");
        if (conf_strs(&f, "values", &values) == 0)
            conf_error(m->conf, &filters->items[i], "a filter needs at least one value");
        conf_map_end(&f);
    }
}

static void other_kind_read(ConfMap *outer, const SdKind *k)
{
    const ConfNode *items;
    u32 n = kind_begin(outer, k->key, &items);
    for (u32 i = 0; i < n; i++) {
        ConfMap m;
        HttpClientConfig http = {0};
        if (conf_node_is_null(&items[i]) || !conf_map_begin(outer->conf, &items[i], &m))
            continue;
        m.expand = outer->expand;
        if (k->needs)
            kind_needs(&m, k);
        kind_choice(&m, k);
        if (k->url && has_value(&m, str_c(k->url)))
            http_url_check(m.conf, m.node, value_of(&m, str_c(k->url)),
                           conf_scalar(m.conf, value_of(&m, str_c(k->url)), m.expand));
        if (k->auth == AUTH_HTTP)
            conf_http_client(&m, &http);
        special_check(&m, k);
    }
    if (n)
        conf_warn(outer->conf, conf_get(outer, k->key), "%s discovery is not built yet: it finds no targets",
                  k->name);
}

void sd_configs_read(ConfMap *m, bool check_addresses, SdConfigs *ret)
{
    *ret = (SdConfigs){0};
    statics_read(m, check_addresses, ret);
    files_read(m, ret);
    dns_read(m, ret);
    https_read(m, ret);
    for (size_t i = 0; i < COUNT_OF(other_kinds); i++)
        other_kind_read(m, &other_kinds[i]);
}
