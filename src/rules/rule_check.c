/* `pharos check rules`: what promtool prints, with our positions for errors. */
#include "rules/rules.h"

/* Rules of one name and label set write (or name) the same series: the lint "duplicate-rules". */
static u32 print_duplicates(const RuleSet *set, Buf *out)
{
    u32 groups_len, n = 0;
    const RuleGroup *groups = rule_set_groups(set, &groups_len);
    StrMap seen = {0};
    Buf key, list;
    buf_init(&key, 1 << 20);
    buf_init(&list, 16 << 20);
    for (u32 i = 0; i < groups_len; i++)
        for (u32 k = 0; k < groups[i].rules_len; k++) {
            const Rule *r = &groups[i].rules[k];
            buf_clear(&key);
            buf_str(&key, r->name);
            buf_char(&key, 0);
            labels_print(&key, r->labels);
            if (!strmap_has(&seen, buf_view(&key))) {
                strmap_put(&seen, buf_view(&key), (void *)r);
                continue;
            }
            n++;
            buf_printf(&list, "Metric: %.*s\nLabel(s):\n", STR_FMT(r->name));
            for (u32 l = 0; l < r->labels.len; l++)
                buf_printf(&list, "\t%.*s: %.*s\n", STR_FMT(r->labels.at[l].name),
                           STR_FMT(r->labels.at[l].value));
        }
    if (n) {
        buf_printf(out, "%u duplicate rule(s) found.\n", n);
        buf_str(out, buf_view(&list));
        buf_c(out, "Might cause inconsistency while recording expressions\n");
    }
    buf_done(&key);
    buf_done(&list);
    strmap_done(&seen);
    return n;
}

Err rules_check(Vfs *vfs, const Str *files, u32 n, const RulesCheckOptions *o, Buf *out)
{
    Err verdict = OK;
    for (u32 i = 0; i < n; i++) {
        RuleSet *set = rule_set_load(vfs, &files[i], 1, &o->read);
        u32 groups_len, rules = 0;
        const RuleGroup *groups = rule_set_groups(set, &groups_len);
        for (u32 k = 0; k < groups_len; k++)
            rules += groups[k].rules_len;
        buf_printf(out, "Checking %.*s\n", STR_FMT(files[i]));
        Why why = {0};
        if (rule_set_files(set) == 0) {
            buf_printf(out, "  FAILED:\n%.*s: no such file\n", STR_FMT(files[i]));
            verdict = E_INVALID;
        } else if (rule_set_verdict(set, &why) != OK) {
            buf_c(out, "  FAILED:\n");
            rule_set_print_issues(set, out);
            verdict = E_INVALID;
        } else {
            buf_printf(out, "  SUCCESS: %u rules found\n", rules);
            rule_set_print_issues(set, out); /* warnings */
            if (!o->lint_none && print_duplicates(set, out) && o->lint_fatal && verdict == OK)
                verdict = E_EXISTS;
        }
        buf_char(out, '\n');
        rule_set_unref(set);
    }
    return verdict;
}
