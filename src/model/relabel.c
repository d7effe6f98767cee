/* Relabelling, as Prometheus's relabel_config describes it. Values that are only looked at are not copied; strings that are
 * made live in the builder's arena. */
#include "model/model.h"
#include <openssl/evp.h>

#define GROUPS_MAX   64
#define EXPANDED_MAX (1u << 20)

static Str change_case(Arena *a, Str s, bool upper)
{
    Buf out;
    buf_init(&out, s.len * 3 + 4);
    if (upper)
        text_upper(&out, s);
    else
        text_lower(&out, s);
    Str kept = arena_dup(a, buf_view(&out));
    buf_done(&out);
    return kept;
}

/* ---- rules ---- */

static Str joined_value(const RelabelRule *r, LabelsBuilder *b)
{
    if (r->source_labels_len == 0)
        return S("");
    if (r->source_labels_len == 1)
        return lb_get(b, r->source_labels[0]);
    size_t total = r->separator.len * (r->source_labels_len - 1);
    for (u32 i = 0; i < r->source_labels_len; i++)
        total += lb_get(b, r->source_labels[i]).len;
    char *at = total ? arena_try(b->arena, total) : NULL;
    if (!at)
        return S("");
    char *to = at;
    for (u32 i = 0; i < r->source_labels_len; i++) {
        Str v = lb_get(b, r->source_labels[i]);
        if (i && r->separator.len) {
            memcpy(to, r->separator.at, r->separator.len);
            to += r->separator.len;
        }
        if (v.len)
            memcpy(to, v.at, v.len);
        to += v.len;
    }
    return str_of(at, total);
}

static bool has_var(Str s)
{
    return str_find_char(s, '$') != SIZE_MAX;
}

static Str expand(const RelabelRule *r, Str templ, const Str *groups, u32 n, Arena *a)
{
    if (!has_var(templ))
        return templ;
    if (str_eq(templ, S("$1")) && n > 1)
        return groups[1].at ? groups[1] : S("");
    Buf out;
    buf_init(&out, EXPANDED_MAX);
    regex_expand(r->regex, templ, groups, n, &out);
    Str kept = arena_dup(a, buf_view(&out));
    buf_done(&out);
    return kept;
}

static void replace(const RelabelRule *r, LabelsBuilder *b, Str value)
{
    Str groups[GROUPS_MAX];
    u32 n = MIN(regex_groups(r->regex) + 1, (u32)GROUPS_MAX);
    if (str_eq(r->regex_text, S("(.*)"))) {
        groups[0] = groups[1] = value;
        n = 2;
    } else if (!regex_find(r->regex, value, 0, groups, n)) {
        return;
    }
    Str target = expand(r, r->target_label, groups, n, b->arena);
    if (target.len == 0 || !str_is_utf8(target))
        return;
    Str text = expand(r, r->replacement, groups, n, b->arena);
    if (text.len)
        lb_set(b, target, text);
    else
        lb_del(b, target);
}

static void hashmod(const RelabelRule *r, LabelsBuilder *b, Str value)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int digest_len = 0;
    check(EVP_Digest(value.at, value.len, digest, &digest_len, EVP_md5(), NULL) && digest_len == 16);
    u64 low = 0;
    for (int i = 8; i < 16; i++)
        low = low << 8 | digest[i];
    if (r->modulus)
        lb_set(b, r->target_label, arena_printf(b->arena, "%llu", (unsigned long long)(low % r->modulus)));
}

/* labelmap, labeldrop and labelkeep look at the labels as they were before the rule. */
static void over_names(const RelabelRule *r, LabelsBuilder *b)
{
    u32 n = b->len;
    Label *before = n ? arena_array(b->arena, Label, n) : NULL;
    if (!before)
        return;
    memcpy(before, b->at, n * sizeof *before);
    u32 groups_len = MIN(regex_groups(r->regex) + 1, (u32)GROUPS_MAX);
    for (u32 i = 0; i < n; i++) {
        Str groups[GROUPS_MAX];
        if (r->action == RELABEL_LABELMAP) {
            if (!regex_find(r->regex, before[i].name, 0, groups, groups_len))
                continue;
            Str name = expand(r, r->replacement, groups, groups_len, b->arena);
            if (name.len)
                lb_set(b, name, before[i].value);
        } else if (regex_match(r->regex, before[i].name) == (r->action == RELABEL_LABELDROP)) {
            lb_del(b, before[i].name);
        }
    }
}

static bool rule_apply(const RelabelRule *r, LabelsBuilder *b)
{
    if (r->action == RELABEL_LABELMAP || r->action == RELABEL_LABELDROP || r->action == RELABEL_LABELKEEP) {
        over_names(r, b);
        return true;
    }
    Str value = joined_value(r, b);
    switch (r->action) {
    case RELABEL_KEEP:
        return regex_match(r->regex, value);
    case RELABEL_DROP:
        return !regex_match(r->regex, value);
    case RELABEL_KEEPEQUAL:
        return str_eq(lb_get(b, r->target_label), value);
    case RELABEL_DROPEQUAL:
        return !str_eq(lb_get(b, r->target_label), value);
    case RELABEL_REPLACE:
        replace(r, b, value);
        return true;
    case RELABEL_HASHMOD:
        hashmod(r, b, value);
        return true;
    case RELABEL_LOWERCASE:
    case RELABEL_UPPERCASE:
        lb_set(b, r->target_label, change_case(b->arena, value, r->action == RELABEL_UPPERCASE));
        return true;
    default:
        return true;
    }
}

bool relabel_apply(RelabelRules rules, LabelsBuilder *b)
{
    for (u32 i = 0; i < rules.len; i++)
        if (!rule_apply(&rules.at[i], b))
            return false;
    return true;
}
