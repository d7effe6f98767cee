/* Relabelling, as Prometheus's relabel_config describes it. Values that are only looked at are not copied; strings that are
 * made live in the builder's arena. */
#include "model/model.h"
#include <openssl/evp.h>

#define GROUPS_MAX   64
#define EXPANDED_MAX (1u << 20)

/* ---- case: Go's strings.ToLower/ToUpper, for the alphabets with simple rules ---- */

typedef struct CaseRange {
    u32 from, to; /* of the upper-case letters */
    i32 delta;    /* added to get lower case; 1 = upper and lower case alternate, starting with upper case */
} CaseRange;
static const CaseRange case_ranges[] = {
    {0x00c0, 0x00d6, 32}, {0x00d8, 0x00de, 32}, {0x0100, 0x012e, 1},    {0x0132, 0x0136, 1},
    {0x0139, 0x0147, 1},  {0x014a, 0x0176, 1},  {0x0178, 0x0178, -121}, {0x0179, 0x017d, 1},
    {0x0386, 0x0386, 38}, {0x0388, 0x038a, 37}, {0x038c, 0x038c, 64},   {0x038e, 0x038f, 63},
    {0x0391, 0x03a1, 32}, {0x03a3, 0x03ab, 32}, {0x0400, 0x040f, 80},   {0x0410, 0x042f, 32},
    {0x0460, 0x0480, 1},  {0x048a, 0x04be, 1},  {0x04d0, 0x052e, 1},    {0x0531, 0x0556, 48},
    {0x1e00, 0x1e94, 1},  {0x1ea0, 0x1efe, 1},  {0xff21, 0xff3a, 32},
};

static u32 rune_lower(u32 r)
{
    for (size_t i = 0; i < COUNT_OF(case_ranges); i++) {
        const CaseRange *c = &case_ranges[i];
        if (r < c->from || r > c->to)
            continue;
        if (c->delta == 1)
            return (r - c->from) % 2 == 0 ? r + 1 : r;
        return (u32)((i32)r + c->delta);
    }
    return r;
}

static u32 rune_upper(u32 r)
{
    if (r == 0x3c2)
        return 0x3a3; /* final sigma */
    if (r == 0xb5)
        return 0x39c; /* micro sign */
    for (size_t i = 0; i < COUNT_OF(case_ranges); i++) {
        const CaseRange *c = &case_ranges[i];
        if (c->delta == 1) {
            if (r > c->from && r <= c->to + 1 && (r - c->from) % 2 == 1)
                return r - 1;
        } else if (r >= (u32)((i32)c->from + c->delta) && r <= (u32)((i32)c->to + c->delta)) {
            return (u32)((i32)r - c->delta);
        }
    }
    return r;
}

static Str change_case(Arena *a, Str s, bool upper)
{
    Buf out;
    buf_init(&out, s.len * 3 + 4);
    for (size_t i = 0; i < s.len;) {
        unsigned char ch = (unsigned char)s.at[i];
        if (ch < 0x80) {
            if (upper && ch >= 'a' && ch <= 'z')
                ch -= 32;
            else if (!upper && ch >= 'A' && ch <= 'Z')
                ch += 32;
            buf_char(&out, (char)ch);
            i++;
            continue;
        }
        u32 rune;
        char utf8[4];
        size_t n = str_rune(str_skip(s, i), &rune);
        rune = upper ? rune_upper(rune) : rune_lower(rune);
        buf_put(&out, utf8, rune_encode(rune, utf8));
        i += n;
    }
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
