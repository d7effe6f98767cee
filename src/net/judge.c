/* llhttp as Debian ships it (node-llhttp: sources under /usr/share/llhttp), in its strict mode, chosen at compile time. */
#include "net/head.h"
#include <llhttp.h>
_Static_assert(LLHTTP_STRICT_MODE == 1, "the lenient llhttp lets smuggled requests through");

static int on_headers_complete(llhttp_t *p)
{
    LlhttpVerdict *v = p->data;
    v->content_length = p->content_length;
    v->has_length = p->flags & F_CONTENT_LENGTH;
    v->is_chunked = p->flags & F_CHUNKED;
    v->minor = p->http_minor;
    v->major = p->http_major;
    v->keep_alive = llhttp_should_keep_alive(p);
    v->is_complete = true;
    return 0;
}

bool llhttp_judge(Str head, LlhttpVerdict *ret)
{
    static const llhttp_settings_t settings = {.on_headers_complete = on_headers_complete};
    llhttp_t p;
    *ret = (LlhttpVerdict){0};
    llhttp_init(&p, HTTP_REQUEST, &settings);
    p.data = ret;
    llhttp_errno_t e = llhttp_execute(&p, head.at, head.len);
    ret->bad_method = e == HPE_INVALID_METHOD;
    ret->bad_version = e == HPE_INVALID_VERSION;
    ret->reason = e == HPE_OK ? NULL : llhttp_get_error_reason(&p);
    return ret->is_complete && (e == HPE_OK || e == HPE_PAUSED_UPGRADE);
}
