/* .env files of any content: names are valid, values hold no more than the file, and no error shows a value. */
#include "config/conf_internal.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t len);

static void put(void *arg, Str name, Str value)
{
    check(label_name_is_classic(name) && name.len < 256);
    check(name.len + value.len <= *(size_t *)arg);
    *(size_t *)arg -= name.len + value.len;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
    size_t left = len;
    Why why = {0};
    if (dotenv_parse(str_of((const char *)data, len), put, &left, &why) != OK)
        check(why.text[0] && why.line);
    /* The same secret, wherever the quote is missing: the sentence never has it. */
    Buf b;
    buf_init(&b, 1 << 20);
    buf_str(&b, S("A=\"hunter2-hunter2"));
    buf_put(&b, data, len);
    if (dotenv_parse(buf_view(&b), put, &(size_t){SIZE_MAX / 2}, &why) != OK)
        check(!strstr(why.text, "hunter2-")); /* a name has no dash */
    buf_done(&b);
    return 0;
}
