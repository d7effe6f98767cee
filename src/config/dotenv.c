/* .env files: an overlay under the process environment. */
#include "config/conf_internal.h"
#include <stdio.h>

typedef struct EnvValue {
    Str text;
    struct EnvValue *replaced; /* kept: values handed out stay valid for the process */
} EnvValue;

static pthread_rwlock_t overlay_lock = PTHREAD_RWLOCK_INITIALIZER;
static StrMap overlay;

Str dotenv_lookup(Str name, bool *ret_set)
{
    char key[256];
    *ret_set = false;
    if (name.len == 0 || name.len >= sizeof key)
        return S("");
    memcpy(key, name.at, name.len);
    key[name.len] = 0;
    const char *v = getenv(key);
    if (v) {
        *ret_set = true;
        return str_c(v);
    }
    pthread_rwlock_rdlock(&overlay_lock);
    const EnvValue *found = strmap_find(&overlay, name);
    pthread_rwlock_unlock(&overlay_lock);
    *ret_set = found != NULL;
    return found ? found->text : S("");
}

Str dotenv_get(const char *name)
{
    bool is_set;
    return dotenv_lookup(str_c(name), &is_set);
}

static void overlay_put(void *arg, Str name, Str value)
{
    EnvValue *v = mem_new(EnvValue);
    v->text = mem_dup(value);
    pthread_rwlock_wrlock(&overlay_lock);
    v->replaced = strmap_put(&overlay, name, v);
    pthread_rwlock_unlock(&overlay_lock);
}

static bool name_is_valid(Str s)
{
    return label_name_is_classic(s) && s.len < 256;
}

/* value is what follows the =; out gets it without quotes and comment. False: a quote is not closed, or text follows it. */
static bool value_parse(Str s, Buf *out)
{
    s = str_trim(s);
    if (s.len == 0)
        return true;
    char quote = s.at[0];
    if (quote != '"' && quote != '\'') {
        size_t end = 0;
        while (end < s.len &&
               !(s.at[end] == '#' && (end == 0 || s.at[end - 1] == ' ' || s.at[end - 1] == '\t')))
            end++;
        buf_str(out, str_trim(str_sub(s, 0, end)));
        return true;
    }
    size_t i = 1;
    for (; i < s.len && s.at[i] != quote; i++) {
        if (quote == '\'' || s.at[i] != '\\' || i + 1 == s.len) {
            buf_char(out, s.at[i]);
            continue;
        }
        char next = s.at[++i];
        switch (next) {
        case 'n':
            buf_char(out, '\n');
            break;
        case 't':
            buf_char(out, '\t');
            break;
        case '"':
        case '\\':
        case '$':
            buf_char(out, next);
            break;
        default:
            buf_char(out, '\\');
            buf_char(out, next);
        }
    }
    if (i >= s.len)
        return false;
    Str after = str_trim(str_skip(s, i + 1));
    return after.len == 0 || after.at[0] == '#';
}

static Err line_parse(Str line, u32 number, DotenvPut put, void *arg, Why *why)
{
    Str name, value;
    line = str_trim(line);
    if (line.len == 0 || line.at[0] == '#')
        return OK;
    if (str_starts(line, S("export ")))
        line = str_trim(str_skip(line, 7));
    if (!str_cut(line, '=', &name, &value))
        return why_at(why, E_PARSE, number, 1, "expected NAME=value");
    name = str_trim(name);
    if (!name_is_valid(name))
        return why_at(why, E_PARSE, number, 1, "a name is letters, digits and _, not starting with a digit");
    Buf text;
    buf_init(&text, 64u << 10);
    bool ok = value_parse(value, &text) && !buf_over(&text);
    if (ok)
        put(arg, name, buf_view(&text));
    buf_done(&text);
    /* The value may be a secret: the sentence names only its variable. */
    return ok ? OK
              : why_at(why, E_PARSE, number, 1, "%.*s: the quotes do not close at the end of the line",
                       STR_FMT(name));
}

Err dotenv_parse(Str text, DotenvPut put, void *arg, Why *why)
{
    Str line, rest = text;
    Err e = OK;
    for (u32 number = 1; e == OK && rest.len; number++) {
        str_cut(rest, '\n', &line, &rest);
        e = line_parse(line, number, put, arg, why);
    }
    return e;
}

Err dotenv_load(Vfs *v, const char *path, Why *why)
{
    Buf bytes;
    buf_init(&bytes, 1u << 20);
    Err e = vfs_read_file(v, path, 1u << 20, &bytes, why);
    if (e == OK && (e = dotenv_parse(buf_view(&bytes), overlay_put, NULL, why)) != OK && why)
        snprintf(why->file, sizeof why->file, "%s", path);
    buf_done(&bytes);
    return e;
}
