/* Template data as Alertmanager's templates know it: .Receiver, .Status, .Alerts, label maps with their methods. */
#include "alert/notify/notify.h"

#include <jansson.h>
#include <stdlib.h>

bool notify_is_firing(const NotifyData *d)
{
    for (u32 i = 0; i < d->len; i++)
        if (!d->alerts[i].is_resolved)
            return true;
    return false;
}

u32 notify_count(const NotifyData *d, bool resolved)
{
    u32 n = 0;
    for (u32 i = 0; i < d->len; i++)
        n += d->alerts[i].is_resolved == resolved;
    return n;
}

static Labels common(const NotifyAlert *alerts, u32 len, bool annotations, Arena *arena)
{
    if (!len)
        return (Labels){0};
    Labels first = annotations ? alerts[0].annotations : alerts[0].labels;
    Label *at = arena_array(arena, Label, first.len + 1);
    u32 n = 0;
    for (u32 i = 0; at && i < first.len; i++) {
        bool same = true;
        for (u32 k = 1; k < len && same; k++)
            same =
                str_eq(labels_get(annotations ? alerts[k].annotations : alerts[k].labels, first.at[i].name),
                       first.at[i].value);
        if (same)
            at[n++] = first.at[i];
    }
    return (Labels){at, n};
}

void notify_set_common(NotifyData *d, Arena *arena)
{
    d->common_labels = common(d->alerts, d->len, false, arena);
    d->common_annotations = common(d->alerts, d->len, true, arena);
}

/* ---- label maps ---- */
typedef struct KvObject {
    TvObject obj;
    Labels labels;
} KvObject;
typedef struct PairObject {
    TvObject obj;
    Label label;
} PairObject;
typedef struct PairsObject {
    TvObject obj;
    const Label *at;
    u32 len;
} PairsObject;

static Tv kv_new(Arena *a, Labels l);

static void print_pairs(Buf *out, const Label *at, u32 n)
{
    for (u32 i = 0; i < n; i++)
        buf_printf(out, "%s%.*s=%.*s", i ? ", " : "", STR_FMT(at[i].name), STR_FMT(at[i].value));
}

static Tv strings(Arena *a, const Label *at, u32 n, bool names)
{
    Tv *list = arena_array(a, Tv, n + 1);
    for (u32 i = 0; list && i < n; i++)
        list[i] = tv_str(names ? at[i].name : at[i].value);
    return tv_list(list, list ? n : 0);
}

static Tv text_of(Arena *a, const Label *at, u32 n)
{
    Buf b;
    buf_init(&b, 1 << 20);
    print_pairs(&b, at, n);
    Str s = arena_dup(a, buf_view(&b));
    buf_done(&b);
    return tv_str(s);
}

static bool pair_get(const TvObject *o, TmplExec *x, Str name, const Tv *args, u32 n, Tv *ret, Why *why)
{
    const PairObject *p = o->data;
    if (n)
        return false;
    if (str_eq(name, S("Name")))
        *ret = tv_str(p->label.name);
    else if (str_eq(name, S("Value")))
        *ret = tv_str(p->label.value);
    else
        return false;
    return true;
}

static void pair_print(const TvObject *o, Buf *out)
{
    const PairObject *p = o->data;
    buf_printf(out, "{%.*s %.*s}", STR_FMT(p->label.name), STR_FMT(p->label.value));
}

static bool pairs_get(const TvObject *o, TmplExec *x, Str name, const Tv *args, u32 n, Tv *ret, Why *why)
{
    const PairsObject *p = o->data;
    if (n)
        return false;
    if (str_eq(name, S("Names")) || str_eq(name, S("Values")))
        *ret = strings(tmpl_arena(x), p->at, p->len, name.at[0] == 'N');
    else if (str_eq(name, S("String")))
        *ret = text_of(tmpl_arena(x), p->at, p->len);
    else
        return false;
    return true;
}

static void pairs_print(const TvObject *o, Buf *out)
{
    const PairsObject *p = o->data;
    print_pairs(out, p->at, p->len);
}

/* alertname leads, the rest in order. */
static Label *sorted_pairs(Arena *a, Labels l)
{
    Label *at = arena_array(a, Label, l.len + 1);
    u32 n = 0;
    for (u32 i = 0; at && i < l.len; i++)
        if (str_eq(l.at[i].name, S("alertname")))
            at[n++] = l.at[i];
    for (u32 i = 0; at && i < l.len; i++)
        if (!str_eq(l.at[i].name, S("alertname")))
            at[n++] = l.at[i];
    return at;
}

static Tv pairs_new(Arena *a, Labels l)
{
    PairsObject *p = arena_new(a, PairsObject);
    Label *at = sorted_pairs(a, l);
    Tv *list = arena_array(a, Tv, l.len + 1);
    PairObject *objs = arena_array(a, PairObject, l.len + 1);
    u32 n = at && list && objs ? l.len : 0;
    for (u32 i = 0; i < n; i++) {
        objs[i] = (PairObject){.label = at[i]};
        objs[i].obj =
            (TvObject){.type_name = "template.Pair", .data = &objs[i], .get = pair_get, .print = pair_print};
        list[i] = tv_object(&objs[i].obj);
    }
    *p = (PairsObject){.at = at, .len = n};
    p->obj = (TvObject){.type_name = "template.Pairs",
                        .data = p,
                        .get = pairs_get,
                        .as_value = tv_list(list, n),
                        .print = pairs_print};
    return tv_object(&p->obj);
}

static bool in_list(Tv list, Str name)
{
    list = tv_plain(list);
    for (u32 i = 0; list.kind == TV_LIST && i < list.u.list.len; i++)
        if (list.u.list.at[i].kind == TV_STR && str_eq(list.u.list.at[i].u.s, name))
            return true;
    return false;
}

static bool kv_get(const TvObject *o, TmplExec *x, Str name, const Tv *args, u32 n, Tv *ret, Why *why)
{
    const KvObject *kv = o->data;
    Arena *a = tmpl_arena(x);
    if (str_eq(name, S("Remove"))) {
        if (n != 1) {
            why_set(why, E_EXEC, "wrong number of args for Remove: want 1 got %u", n);
            return true;
        }
        if (tv_plain(args[0]).kind != TV_LIST) {
            why_set(why, E_EXEC, "can't handle %s for arg of type []string", tv_type_name(args[0]));
            return true;
        }
        Label *at = arena_array(a, Label, kv->labels.len + 1);
        u32 len = 0;
        for (u32 i = 0; at && i < kv->labels.len; i++)
            if (!in_list(args[0], kv->labels.at[i].name))
                at[len++] = kv->labels.at[i];
        *ret = kv_new(a, (Labels){at, len});
        return true;
    }
    if (n)
        return false;
    if (str_eq(name, S("SortedPairs"))) {
        *ret = pairs_new(a, kv->labels);
    } else if (str_eq(name, S("Names")) || str_eq(name, S("Values"))) {
        Label *at = sorted_pairs(a, kv->labels);
        *ret = strings(a, at, at ? kv->labels.len : 0, name.at[0] == 'N');
    } else if (str_eq(name, S("String"))) {
        Label *at = sorted_pairs(a, kv->labels);
        *ret = text_of(a, at, at ? kv->labels.len : 0);
    } else {
        *ret = tv_str(labels_get(kv->labels, name));
    }
    return true;
}

static void kv_print(const TvObject *o, Buf *out)
{
    const KvObject *kv = o->data;
    bool first = true;
    Str name = labels_get(kv->labels, S("alertname"));
    if (name.len) {
        buf_printf(out, "alertname=%.*s", STR_FMT(name));
        first = false;
    }
    for (u32 i = 0; i < kv->labels.len; i++)
        if (!str_eq(kv->labels.at[i].name, S("alertname"))) {
            buf_printf(out, "%s%.*s=%.*s", first ? "" : ", ", STR_FMT(kv->labels.at[i].name),
                       STR_FMT(kv->labels.at[i].value));
            first = false;
        }
}

static Tv kv_new(Arena *a, Labels l)
{
    KvObject *kv = arena_new(a, KvObject);
    TvPair *at = arena_array(a, TvPair, l.len + 1);
    for (u32 i = 0; at && i < l.len; i++)
        at[i] = (TvPair){l.at[i].name, tv_str(l.at[i].value)};
    kv->labels = l;
    kv->obj = (TvObject){.type_name = "template.KV",
                         .data = kv,
                         .get = kv_get,
                         .as_value = tv_map(at, at ? l.len : 0),
                         .print = kv_print};
    return tv_object(&kv->obj);
}

/* ---- alerts ---- */
typedef struct AlertObject {
    TvObject obj;
    const NotifyAlert *alert;
    Tv labels, annotations;
} AlertObject;
typedef struct AlertsObject {
    TvObject obj;
    AlertObject *at;
    u32 len;
} AlertsObject;

/* 0 stands for no time: Go's zero time is out of reach, the start of the epoch is not. */
static Tv time_value(i64 ns)
{
    return (Tv){.kind = TV_TIME, .u.time = {ns, NULL}};
}

static bool alert_get(const TvObject *o, TmplExec *x, Str name, const Tv *args, u32 n, Tv *ret, Why *why)
{
    const AlertObject *a = o->data;
    if (n)
        return false;
    if (str_eq(name, S("Status")))
        *ret = tv_str(a->alert->is_resolved ? S("resolved") : S("firing"));
    else if (str_eq(name, S("Labels")))
        *ret = a->labels;
    else if (str_eq(name, S("Annotations")))
        *ret = a->annotations;
    else if (str_eq(name, S("StartsAt")))
        *ret = time_value(a->alert->starts_ns);
    else if (str_eq(name, S("EndsAt")))
        *ret = time_value(a->alert->ends_ns);
    else if (str_eq(name, S("GeneratorURL")))
        *ret = tv_str(a->alert->generator_url);
    else if (str_eq(name, S("Fingerprint")))
        *ret =
            tv_str(a->alert->fingerprint_text.len
                       ? a->alert->fingerprint_text
                       : arena_printf(tmpl_arena(x), "%016llx", (unsigned long long)a->alert->fingerprint));
    else
        return false;
    return true;
}

static Tv alerts_list(Arena *a, AlertObject *at, u32 len, int only)
{
    Tv *list = arena_array(a, Tv, len + 1);
    u32 n = 0;
    for (u32 i = 0; list && i < len; i++)
        if (only < 0 || at[i].alert->is_resolved == (only == 1))
            list[n++] = tv_object(&at[i].obj);
    return tv_list(list, n);
}

static bool alerts_get(const TvObject *o, TmplExec *x, Str name, const Tv *args, u32 n, Tv *ret, Why *why)
{
    const AlertsObject *as = o->data;
    if (n || (!str_eq(name, S("Firing")) && !str_eq(name, S("Resolved"))))
        return false;
    *ret = alerts_list(tmpl_arena(x), as->at, as->len, str_eq(name, S("Resolved")));
    return true;
}

static Tv alerts_new(Arena *a, const NotifyData *d)
{
    AlertsObject *as = arena_new(a, AlertsObject);
    AlertObject *at = arena_array(a, AlertObject, d->len + 1);
    for (u32 i = 0; at && i < d->len; i++) {
        at[i] = (AlertObject){.alert = &d->alerts[i],
                              .labels = kv_new(a, d->alerts[i].labels),
                              .annotations = kv_new(a, d->alerts[i].annotations)};
        at[i].obj = (TvObject){.type_name = "template.Alert", .data = &at[i], .get = alert_get};
    }
    as->at = at;
    as->len = at ? d->len : 0;
    as->obj = (TvObject){.type_name = "template.Alerts",
                         .data = as,
                         .get = alerts_get,
                         .as_value = alerts_list(a, at, as->len, -1)};
    return tv_object(&as->obj);
}

/* ---- the root ---- */
enum {
    F_RECEIVER,
    F_STATUS,
    F_ALERTS,
    F_GROUP_LABELS,
    F_COMMON_LABELS,
    F_COMMON_ANNOTATIONS,
    F_EXTERNAL_URL,
    F_REASON,
    F_LEN
};
static const char *const field_names[F_LEN] = {"Receiver",     "Status",
                                               "Alerts",       "GroupLabels",
                                               "CommonLabels", "CommonAnnotations",
                                               "ExternalURL",  "NotificationReason"};

static bool data_get(const TvObject *o, TmplExec *x, Str name, const Tv *args, u32 n, Tv *ret, Why *why)
{
    const Tv *fields = o->data;
    for (u32 i = 0; i < F_LEN && !n; i++)
        if (str_eq(name, str_c(field_names[i]))) {
            *ret = fields[i];
            return true;
        }
    return false;
}

Err notify_run(TmplSet *set, const NotifyData *d, Str text, bool html, Arena *arena, Buf *out, Why *why)
{
    if (str_find(text, S("{{")) == SIZE_MAX) {
        buf_str(out, text);
        return OK;
    }
    Tv fields[F_LEN] = {tv_str(d->receiver),
                        tv_str(d->status.len         ? d->status
                               : notify_is_firing(d) ? S("firing")
                                                     : S("resolved")),
                        alerts_new(arena, d),
                        kv_new(arena, d->group_labels),
                        kv_new(arena, d->common_labels),
                        kv_new(arena, d->common_annotations),
                        tv_str(d->external_url),
                        tv_str(d->reason)};
    TvObject root = {.type_name = "template.Data", .data = fields, .get = data_get};
    TmplRun how = {.missing_key_zero = true, .html = html, .host = (void *)d};
    return tmpl_exec_text(set, text, tv_object(&root), &how, arena, out, why);
}

Err notify_expand(TmplSet *set, const NotifyData *d, Str text, Arena *arena, Buf *out, Why *why)
{
    return notify_run(set, d, text, false, arena, out, why);
}

/* What can be said without the template: what is wrong with it, and the alerts. */
static void say_plainly(const NotifyData *d, const char *error, Buf *out)
{
    enum { ALERTS_SHOWN = 10 };
    buf_printf(out, "[template error: %s] %s:%u", error, notify_is_firing(d) ? "FIRING" : "RESOLVED", d->len);
    for (u32 i = 0; i < d->len && i < ALERTS_SHOWN; i++) {
        buf_char(out, ' ');
        labels_print(out, d->alerts[i].labels);
    }
}

static Str text_or_error(TmplSet *set, const NotifyData *d, Str text, bool html, Arena *arena)
{
    Buf b, plain;
    Why why = {0};
    buf_init(&b, 1 << 20);
    if (notify_run(set, d, text, html, arena, &b, &why) != OK) {
        buf_clear(&b);
        buf_init(&plain, 64 << 10);
        say_plainly(d, why.text, &plain);
        if (html)
            html_escape(&b, buf_view(&plain));
        else
            buf_str(&b, buf_view(&plain));
        buf_done(&plain);
    }
    Str ret = arena_dup(arena, buf_view(&b));
    buf_done(&b);
    return ret;
}

Str notify_text(TmplSet *set, const NotifyData *d, Str text, Arena *arena)
{
    return text_or_error(set, d, text, false, arena);
}

Str notify_html(TmplSet *set, const NotifyData *d, Str text, Arena *arena)
{
    return text_or_error(set, d, text, true, arena);
}

/* ---- trees ---- */
void notify_value(Json *j, Str text)
{
    json_error_t err;
    json_t *v = text.len ? json_loadb(text.at, text.len, JSON_DECODE_ANY, &err) : NULL;
    if (v && !json_is_string(v)) /* numbers and truths too */
        js_raw(j, text);
    else
        js_str(j, text);
    json_decref(v);
}

static void put_scalar(Json *j, TmplSet *set, const NotifyData *d, const ConfNode *n, Arena *arena)
{
    f64 number;
    if (n->is_quoted)
        notify_value(j, notify_text(set, d, n->text, arena));
    else if (conf_node_is_null(n))
        js_null(j);
    else if (str_eq(n->text, S("true")) || str_eq(n->text, S("false")))
        js_bool(j, n->text.at[0] == 't');
    else if (parse_f64(n->text, &number) == OK && number - number == 0)
        js_f64(j, number);
    else
        notify_value(j, notify_text(set, d, n->text, arena));
}

void notify_node(Json *j, TmplSet *set, const NotifyData *d, const ConfNode *n, Arena *arena)
{
    enum { DEPTH_MAX = 50 };
    if (j->depth >= DEPTH_MAX) {
        js_null(j);
        return;
    }
    switch (n->kind) {
    case CONF_NULL:
        js_null(j);
        break;
    case CONF_SCALAR:
        put_scalar(j, set, d, n, arena);
        break;
    case CONF_LIST:
        js_array(j);
        for (u32 i = 0; i < n->len; i++)
            notify_node(j, set, d, &n->items[i], arena);
        js_array_end(j);
        break;
    case CONF_MAP:
        js_object(j);
        for (u32 i = 0; i < n->len; i++) {
            js_key(j, notify_text(set, d, n->keys[i].text, arena));
            notify_node(j, set, d, &n->items[i], arena);
        }
        js_object_end(j);
        break;
    }
}
