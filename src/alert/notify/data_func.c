/* Functions of Alertmanager's templates, and the default templates. */
#include "alert/notify/notify.h"

static Err fn_join(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 2, 2, "join", why));
    Str sep;
    TRY(tmpl_need_str(a[0], &sep, why));
    Tv list = tv_plain(a[1]);
    if (list.kind != TV_LIST)
        return why_set(why, E_EXEC, "wrong type for value; expected []string; got %s", tv_type_name(a[1]));
    Buf b;
    buf_init(&b, 1 << 20);
    for (u32 i = 0; i < list.u.list.len; i++) {
        if (i)
            buf_str(&b, sep);
        tv_print(&b, list.u.list.at[i]);
    }
    *ret = tmpl_take(x, &b);
    return OK;
}

static Err fn_trim_space(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 1, 1, "trimSpace", why));
    Str s;
    TRY(tmpl_need_str(a[0], &s, why));
    *ret = tv_str(str_trim(s));
    return OK;
}

static Err fn_title(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 1, 1, "title", why));
    Str s;
    TRY(tmpl_need_str(a[0], &s, why));
    Buf b;
    buf_init(&b, 2 * s.len + 16);
    text_title(&b, s, true);
    *ret = tmpl_take(x, &b);
    return OK;
}

static Err fn_list(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    Tv *at = arena_array(tmpl_arena(x), Tv, n + 1);
    if (!at)
        return why_set(why, E_LIMIT, "too many arguments");
    if (n)
        memcpy(at, a, n * sizeof *at);
    *ret = tv_list(at, n);
    return OK;
}

static Err fn_append(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 1, UINT32_MAX, "append", why));
    Tv list = tv_plain(a[0]);
    if (list.kind != TV_LIST)
        return why_set(why, E_EXEC, "wrong type for value; expected a list; got %s", tv_type_name(a[0]));
    u32 len = list.u.list.len;
    Tv *at = arena_array(tmpl_arena(x), Tv, len + n);
    if (!at)
        return why_set(why, E_LIMIT, "the list is too long");
    if (len)
        memcpy(at, list.u.list.at, len * sizeof *at);
    memcpy(at + len, a + 1, (n - 1) * sizeof *at);
    *ret = tv_list(at, len + n - 1);
    return OK;
}

static Err fn_dict(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    if (n % 2)
        return why_set(why, E_EXEC, "dict requires an even number of arguments");
    TvPair *at = arena_array(tmpl_arena(x), TvPair, n / 2 + 1);
    if (!at)
        return why_set(why, E_LIMIT, "too many arguments");
    u32 len = 0;
    for (u32 i = 0; i < n; i += 2) {
        Str key;
        if (tmpl_need_str(a[i], &key, NULL) != OK)
            return why_set(why, E_EXEC, "dict keys must be strings");
        u32 k = 0;
        while (k < len && str_cmp(at[k].key, key) < 0)
            k++;
        if (k < len && str_eq(at[k].key, key)) {
            at[k].value = a[i + 1];
            continue;
        }
        memmove(at + k + 1, at + k, (len - k) * sizeof *at);
        at[k] = (TvPair){key, a[i + 1]};
        len++;
    }
    *ret = tv_map(at, len);
    ret->u.map.is_any = true;
    return OK;
}

/* What Go's encoder makes of the structs: their fields under these names, in this order. */
static const struct {
    const char *type, *fields[9][2];
} json_structs[] = {
    {"template.Alert",
     {{"Status", "status"},
      {"Labels", "labels"},
      {"Annotations", "annotations"},
      {"StartsAt", "startsAt"},
      {"EndsAt", "endsAt"},
      {"GeneratorURL", "generatorURL"},
      {"Fingerprint", "fingerprint"}}},
    {"template.Pair", {{"Name", "Name"}, {"Value", "Value"}}},
    {"template.Data",
     {{"Receiver", "receiver"},
      {"Status", "status"},
      {"Alerts", "alerts"},
      {"NotificationReason", "notification_reason"},
      {"GroupLabels", "groupLabels"},
      {"CommonLabels", "commonLabels"},
      {"CommonAnnotations", "commonAnnotations"},
      {"ExternalURL", "externalURL"}}},
};

static void to_json(TmplExec *x, Json *j, Tv v, int depth);
static bool struct_to_json(TmplExec *x, Json *j, const TvObject *o, int depth)
{
    for (size_t i = 0; i < COUNT_OF(json_structs); i++) {
        if (strcmp(o->type_name, json_structs[i].type) != 0)
            continue;
        js_object(j);
        for (size_t f = 0; f < COUNT_OF(json_structs[i].fields) && json_structs[i].fields[f][0]; f++) {
            Tv v = tv_nil();
            js_key(j, str_c(json_structs[i].fields[f][1]));
            o->get(o, x, str_c(json_structs[i].fields[f][0]), NULL, 0, &v, NULL);
            to_json(x, j, v, depth + 1);
        }
        js_object_end(j);
        return true;
    }
    return false;
}

static void to_json(TmplExec *x, Json *j, Tv v, int depth)
{
    if (depth <= 20 && v.kind == TV_OBJECT && struct_to_json(x, j, v.u.obj, depth))
        return;
    v = tv_plain(v);
    if (depth > 20) {
        js_null(j);
        return;
    }
    switch (v.kind) {
    case TV_BOOL:
        js_bool(j, v.u.b);
        break;
    case TV_INT:
    case TV_DURATION:
        js_i64(j, v.u.i);
        break;
    case TV_F64:
        js_f64(j, v.u.f);
        break;
    case TV_STR:
    case TV_SAFE_HTML:
        js_str(j, v.u.s);
        break;
    case TV_LIST:
        js_array(j);
        for (u32 i = 0; i < v.u.list.len; i++)
            to_json(x, j, v.u.list.at[i], depth + 1);
        js_array_end(j);
        break;
    case TV_MAP:
        js_object(j);
        for (u32 i = 0; i < v.u.map.len; i++) {
            js_key(j, v.u.map.at[i].key);
            to_json(x, j, v.u.map.at[i].value, depth + 1);
        }
        js_object_end(j);
        break;
    case TV_TIME: {
        Buf b;
        Civil c;
        i64 ns = v.u.time.ns, sec = ns / NS_PER_SEC - (ns % NS_PER_SEC < 0);
        buf_init(&b, 64);
        civil_from_unix(sec, &c);
        c.nanos = (i32)(ns - sec * NS_PER_SEC);
        if (ns)
            print_time_go(&b, &c, S("2006-01-02T15:04:05.999999999Z07:00"));
        else
            buf_c(&b, "0001-01-01T00:00:00Z"); /* no time */
        js_str(j, buf_view(&b));
        buf_done(&b);
        break;
    }
    default:
        js_null(j);
    }
}

static Err fn_to_json(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 1, 1, "toJson", why));
    Buf b;
    Json j;
    buf_init(&b, 1 << 20);
    js_init(&j, &b);
    to_json(x, &j, a[0], 0);
    *ret = tmpl_take(x, &b);
    return OK;
}

static Err fn_date(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 2, 2, "date", why));
    Str layout;
    TRY(tmpl_need_str(a[0], &layout, why));
    if (a[1].kind != TV_TIME)
        return why_set(why, E_EXEC, "wrong type for value; expected time.Time; got %s", tv_type_name(a[1]));
    Civil c;
    i64 sec = a[1].u.time.ns / NS_PER_SEC, ns = a[1].u.time.ns % NS_PER_SEC;
    civil_in_zone(a[1].u.time.zone, ns < 0 ? sec - 1 : sec, &c);
    c.nanos = (i32)(ns < 0 ? ns + NS_PER_SEC : ns);
    Buf b;
    buf_init(&b, 1 << 16);
    print_time_go(&b, &c, layout);
    *ret = tmpl_take(x, &b);
    return OK;
}

static Err fn_tz(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 2, 2, "tz", why));
    Str name;
    TRY(tmpl_need_str(a[0], &name, why));
    if (a[1].kind != TV_TIME)
        return why_set(why, E_EXEC, "wrong type for value; expected time.Time; got %s", tv_type_name(a[1]));
    *ret = a[1];
    return zone_load(name, &ret->u.time.zone, why);
}

static Err fn_now(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 0, 0, "now", why));
    const NotifyData *d = tmpl_host(x);
    *ret = (Tv){.kind = TV_TIME, .u.time = {d->now_ms * NS_PER_MS, NULL}};
    return OK;
}

static Err fn_since(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 1, 1, "since", why));
    const NotifyData *d = tmpl_host(x);
    if (a[0].kind != TV_TIME)
        return why_set(why, E_EXEC, "wrong type for value; expected time.Time; got %s", tv_type_name(a[0]));
    *ret = (Tv){.kind = TV_DURATION, .u.i = (i64)((u64)d->now_ms * NS_PER_MS - (u64)a[0].u.time.ns)};
    return OK;
}

static Err fn_safe_url(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 1, 1, "safeUrl", why));
    Str s;
    TRY(tmpl_need_str(a[0], &s, why));
    *ret = (Tv){.kind = TV_SAFE_HTML, .u.s = s};
    return OK;
}

static Err fn_url_unescape(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 1, 1, "urlUnescape", why));
    Str s;
    TRY(tmpl_need_str(a[0], &s, why));
    Buf b;
    buf_init(&b, 1 << 20);
    Err e = url_unescape(&b, s, true);
    if (e != OK) {
        buf_done(&b);
        return why_set(why, E_EXEC, "invalid URL escape \"%.*s\"", (int)MIN(s.len, 100), s.at);
    }
    *ret = tmpl_take(x, &b);
    return OK;
}

static const TmplFunc own[] = {
    {"title", fn_title, NULL},
    {"join", fn_join, NULL},
    {"trimSpace", fn_trim_space, NULL},
    {"stringSlice", fn_list, NULL},
    {"list", fn_list, NULL},
    {"append", fn_append, NULL},
    {"dict", fn_dict, NULL},
    {"toJson", fn_to_json, NULL},
    {"date", fn_date, NULL},
    {"tz", fn_tz, NULL},
    {"now", fn_now, NULL},
    {"since", fn_since, NULL},
    {"safeUrl", fn_safe_url, NULL},
    {"urlUnescape", fn_url_unescape, NULL},
};
static const char *const shared[] = {"toUpper",      "toLower",  "match",
                                     "reReplaceAll", "safeHtml", "humanizeDuration"};

/* The names and what they print are Alertmanager's: user templates build on them. */
static const char default_templates[] =
    "{{ define \"__alertmanager\" }}Alertmanager{{ end }}"
    "{{ define \"__alertmanagerURL\" }}{{ printf \"%s/#/alerts?receiver=%s\" .ExternalURL (urlquery "
    ".Receiver) }}{{ end }}"
    "{{ define \"__description\" }}{{ end }}"
    "{{ define \"__subject\" }}["
    "{{ if eq .Status \"firing\" }}FIRING:{{ len .Alerts.Firing }}{{ else }}{{ toUpper .Status }}{{ end }}"
    "] {{ join \" \" .GroupLabels.SortedPairs.Values }} "
    "{{ if lt (len .GroupLabels) (len .CommonLabels) }}({{ join \" \" (.CommonLabels.Remove "
    ".GroupLabels.Names).Values }}){{ end }}"
    "{{ end }}"
    "{{ define \"__text_alert_list\" }}{{ range $alert := . }}Labels:\n"
    "{{ range $alert.Labels.SortedPairs }}{{ printf \" - %s = %s\\n\" .Name .Value }}{{ end }}Annotations:\n"
    "{{ range $alert.Annotations.SortedPairs }}{{ printf \" - %s = %s\\n\" .Name .Value }}{{ end }}"
    "Source: {{ $alert.GeneratorURL }}\n{{ end }}{{ end }}"
    "{{ define \"__text_alert_list_markdown\" }}{{ range $alert := . }}\nLabels:\n"
    "{{ range $alert.Labels.SortedPairs }}{{ printf \"  - %s = %s\\n\" .Name .Value }}{{ end "
    "}}\nAnnotations:\n"
    "{{ range $alert.Annotations.SortedPairs }}{{ printf \"  - %s = %s\\n\" .Name .Value }}{{ end }}\n"
    "Source: {{ $alert.GeneratorURL }}\n{{ end }}\n{{ end }}"
    /* What a receiver is sent without a template of its own. */
    "{{ define \"__firing_and_resolved\" }}\n"
    "{{ with .Alerts.Firing }}\nAlerts Firing:\n{{ template \"__text_alert_list\" . }}\n{{ end }}\n"
    "{{ with .Alerts.Resolved }}\nAlerts Resolved:\n{{ template \"__text_alert_list\" . }}\n{{ end }}\n"
    "{{ end }}"
    "{{ define \"__notes\" }}{{ join \" \" .CommonAnnotations.SortedPairs.Values }}{{ end }}"
    "{{ define \"slack.default.title\" }}{{ template \"__subject\" . }}{{ end }}"
    "{{ define \"slack.default.username\" }}{{ template \"__alertmanager\" . }}{{ end }}"
    "{{ define \"slack.default.titlelink\" }}{{ template \"__alertmanagerURL\" . }}{{ end }}"
    "{{ define \"slack.default.fallback\" }}{{ template \"slack.default.title\" . }} | {{ template "
    "\"slack.default.titlelink\" . }}{{ end }}"
    "{{ define \"slack.default.callbackid\" }}{{ end }}{{ define \"slack.default.pretext\" }}{{ end }}"
    "{{ define \"slack.default.iconemoji\" }}{{ end }}{{ define \"slack.default.iconurl\" }}{{ end }}"
    "{{ define \"slack.default.text\" }}{{ end }}{{ define \"slack.default.footer\" }}{{ end }}"
    "{{ define \"slack.default.color\" }}{{ if eq .Status \"firing\" }}danger{{ else }}good{{ end }}{{ end }}"
    "{{ define \"pagerduty.default.description\" }}{{ template \"__subject\" . }}{{ end }}"
    "{{ define \"pagerduty.default.client\" }}{{ template \"__alertmanager\" . }}{{ end }}"
    "{{ define \"pagerduty.default.clientURL\" }}{{ template \"__alertmanagerURL\" . }}{{ end }}"
    "{{ define \"pagerduty.default.instances\" }}{{ template \"__text_alert_list\" . }}{{ end }}"
    "{{ define \"pushover.default.title\" }}{{ template \"__subject\" . }}{{ end }}"
    "{{ define \"pushover.default.message\" }}{{ template \"__notes\" . }}{{ template "
    "\"__firing_and_resolved\" "
    ". }}{{ end }}"
    "{{ define \"pushover.default.url\" }}{{ template \"__alertmanagerURL\" . }}{{ end }}"
    "{{ define \"__trimmed_firing_and_resolved\" }}\n"
    "{{ if gt (len .Alerts.Firing) 0 -}}\nAlerts Firing:\n{{ template \"__text_alert_list\" .Alerts.Firing "
    "}}\n{{- end }}\n"
    "{{ if gt (len .Alerts.Resolved) 0 -}}\nAlerts Resolved:\n{{ template \"__text_alert_list\" "
    ".Alerts.Resolved }}\n"
    "{{- end }}\n{{- end }}"
    "{{ define \"__markdown_firing_and_resolved\" }}\n"
    "{{ with .Alerts.Firing }}\n# Alerts Firing:\n{{ template \"__text_alert_list_markdown\" . }}\n{{ end "
    "}}\n"
    "{{ with .Alerts.Resolved }}\n# Alerts Resolved:\n{{ template \"__text_alert_list_markdown\" . }}\n{{ "
    "end }}\n"
    "{{ end }}"
    "{{ define \"opsgenie.default.message\" }}{{ template \"__subject\" . }}{{ end }}"
    "{{ define \"opsgenie.default.description\" }}{{ template \"__notes\" . }}{{ template "
    "\"__trimmed_firing_and_resolved\" . }}{{ end }}"
    "{{ define \"opsgenie.default.source\" }}{{ template \"__alertmanagerURL\" . }}{{ end }}"
    "{{ define \"victorops.default.state_message\" }}{{ template \"__notes\" . }}{{ template "
    "\"__trimmed_firing_and_resolved\" . }}{{ end }}"
    "{{ define \"victorops.default.entity_display_name\" }}{{ template \"__subject\" . }}{{ end }}"
    "{{ define \"victorops.default.monitoring_tool\" }}{{ template \"__alertmanager\" . }}{{ end }}"
    "{{ define \"webex.default.message\" }}{{ template \"__notes\" . }}{{ template "
    "\"__firing_and_resolved\" . }}{{ end }}"
    "{{ define \"msteams.default.summary\" }}{{ template \"__subject\" . }}{{ end }}"
    "{{ define \"msteams.default.title\" }}{{ template \"__subject\" . }}{{ end }}"
    "{{ define \"msteams.default.text\" }}{{ template \"__markdown_firing_and_resolved\" . }}{{ end }}"
    "{{ define \"msteamsv2.default.title\" }}{{ template \"__subject\" . }}{{ end }}"
    "{{ define \"msteamsv2.default.text\" }}{{ template \"__markdown_firing_and_resolved\" . }}{{ end }}"
    "{{ define \"rocketchat.default.title\" }}{{ template \"__subject\" . }}{{ end }}"
    "{{ define \"rocketchat.default.alias\" }}{{ template \"__alertmanager\" . }}{{ end }}"
    "{{ define \"rocketchat.default.titlelink\" }}{{ template \"__alertmanagerURL\" . }}{{ end }}"
    "{{ define \"rocketchat.default.emoji\" }}{{ end }}{{ define \"rocketchat.default.iconurl\" }}{{ end }}"
    "{{ define \"rocketchat.default.text\" }}{{ end }}"
    "{{ define \"mattermost.default.color\" }}{{ template \"slack.default.color\" . }}{{ end }}"
    "{{ define \"mattermost.default.username\" }}{{ template \"__alertmanager\" . }}{{ end }}"
    "{{ define \"mattermost.default.title\" }}{{ template \"__subject\" . }}{{ end }}"
    "{{ define \"mattermost.default.titlelink\" }}{{ template \"__alertmanagerURL\" . }}{{ end }}"
    "{{ define \"mattermost.default.fallback\" }}{{ template \"mattermost.default.title\" . }} | {{ template "
    "\"mattermost.default.titlelink\" . }}{{ end }}"
    "{{ define \"mattermost.default.text\" }}{{ template \"__markdown_firing_and_resolved\" . }}{{ end }}"
    "{{ define \"telegram.default.message\" }}{{ template \"__firing_and_resolved\" . }}{{ end }}"
    "{{ define \"email.default.subject\" }}{{ template \"__subject\" . }}{{ end }}"
    "{{ define \"__email_alerts\" }}{{ range . }}<table style=\"border-collapse:collapse;margin:8px 0\">"
    "{{ range .Labels.SortedPairs }}<tr><td style=\"padding:2px 12px 2px 0;color:#666\">{{ .Name }}</td>"
    "<td>{{ .Value }}</td></tr>{{ end }}{{ range .Annotations.SortedPairs }}<tr>"
    "<td style=\"padding:2px 12px 2px 0;color:#666\">{{ .Name }}</td><td><b>{{ .Value }}</b></td></tr>{{ end "
    "}}"
    "</table><p><a href=\"{{ .GeneratorURL }}\">Source</a></p>{{ end }}{{ end }}"
    "{{ define \"email.default.html\" }}<!DOCTYPE html><html><body "
    "style=\"font-family:sans-serif;color:#222\">"
    "<h2 style=\"color:{{ if eq .Status \"firing\" }}#992d22{{ else }}#1e8449{{ end }}\">{{ template "
    "\"__subject\" . "
    "}}</h2>{{ with .Alerts.Firing }}<h3>{{ len . }} firing</h3>{{ template \"__email_alerts\" . }}{{ end }}"
    "{{ with .Alerts.Resolved }}<h3>{{ len . }} resolved</h3>{{ template \"__email_alerts\" . }}{{ end }}"
    "<p><a href=\"{{ template \"__alertmanagerURL\" . }}\">{{ template \"__alertmanager\" . }}</a></p>"
    "</body></html>{{ end }}"
    "{{ define \"email.default.text\" }}{{ template \"__subject\" . }}{{ template \"__firing_and_resolved\" "
    ". }}{{ "
    "end }}"
    "{{ define \"discord.default.content\" }}{{ end }}"
    "{{ define \"discord.default.title\" }}{{ template \"__subject\" . }}{{ end }}"
    "{{ define \"discord.default.message\" }}\n"
    "{{ with .Alerts.Firing }}\nAlerts Firing:\n{{ template \"__text_alert_list\" . }}\n{{ end }}\n"
    "{{ with .Alerts.Resolved }}\nAlerts Resolved:\n{{ template \"__text_alert_list\" . }}\n{{ end }}\n"
    "{{ end }}";

TmplSet *notify_templates_new(void)
{
    TmplFunc funcs[COUNT_OF(own) + COUNT_OF(shared)];
    memcpy(funcs, own, sizeof own);
    for (u32 i = 0; i < COUNT_OF(shared); i++)
        funcs[COUNT_OF(own) + i] = *rule_tmpl_func(shared[i]);
    TmplSet *set = tmpl_set_new(funcs, COUNT_OF(funcs));
    Why why = {0};
    Err e = tmpl_parse(set, S("default.tmpl"), str_of(default_templates, sizeof default_templates - 1), &why);
    check(e == OK);
    return set;
}
