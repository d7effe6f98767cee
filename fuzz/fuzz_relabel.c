/* Any rule on any labels: names stay valid, sets sorted and without empty values. */
#include "model/model.h"

static Str piece(const u8 **at, const u8 *end)
{
    if (*at == end)
        return S("");
    size_t n = MIN((size_t)(**at & 31), (size_t)(end - *at - 1));
    Str s = str_of((const char *)*at + 1, n);
    *at += n + 1;
    return s;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t len);
int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
    const u8 *at = data, *end = data + len;
    Arena a;
    LabelsBuilder b;
    arena_init(&a, NULL, 0);
    lb_init(&b, &a, (Labels){0});
    u8 head = at < end ? *at++ : 0;
    RelabelRule r = {.action = (RelabelAction)(head % 11), .modulus = head, .separator = S(";")};
    r.regex_text = piece(&at, end);
    r.target_label = piece(&at, end);
    r.replacement = piece(&at, end);
    Str sources[2] = {piece(&at, end), piece(&at, end)};
    r.source_labels = sources;
    r.source_labels_len = head & 1 ? 2 : 1;
    while (at < end) {
        Str name = piece(&at, end), value = piece(&at, end);
        if (name.len)
            lb_set(&b, name, value);
    }
    if (r.target_label.len && regex_new(r.regex_text, REGEX_ANCHORED, &r.regex, NULL) == OK) {
        if (relabel_apply((RelabelRules){&r, 1}, &b)) {
            Labels l = lb_build(&b);
            for (u32 i = 0; i < l.len; i++) {
                check(l.at[i].name.len && l.at[i].value.len);
                check(i == 0 || str_cmp(l.at[i - 1].name, l.at[i].name) < 0);
            }
        }
        regex_free(r.regex);
    }
    arena_done(&a);
    return 0;
}
