/* Rule files from strangers: read, judged, printed; no crash. */
#include "rules/rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    RuleReadOptions o = {.ignore_unknown_fields = size & 1};
    RuleSet *set = rule_set_parse("fuzz.yml", str_of((const char *)data, MIN(size, 8192)), &o);
    Buf out;
    Why why;
    buf_init(&out, 1 << 18);
    rule_set_verdict(set, &why);
    rule_set_print_issues(set, &out);
    rule_set_unref(set);
    buf_done(&out);
    return 0;
}
