/* Records of the alert log: the first byte is the type, the rest the body; several, separated by their length. */
#include "alert/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AlertState s;
    Why why;
    alert_state_init(&s);
    while (size >= 3) {
        size_t n = MIN((size_t)data[1] | (size_t)data[2] << 8, size - 3);
        alert_state_load_record(&s, data[0] % 7, str_of((const char *)data + 3, n), &why);
        data += 3 + n;
        size -= 3 + n;
    }
    Label label = {S("a"), S("b")};
    const Silence *by[4];
    silences_matching(&s, (Labels){&label, 1}, 1800000000 * NS_PER_SEC, by, 4);
    silences_collect(&s, INT64_MAX / 2);
    alert_state_close(&s);
    return 0;
}
