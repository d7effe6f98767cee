/* dns_sd: SRV, A, AAAA and MX records through c-ares, one blocking look-up per name on a pool thread. */
#include "collect/discovery.h"
#include <ares.h>
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <poll.h>

/* ---- the look-up ---- */

typedef struct Lookup {
    DnsSdType type;
    Arena *arena;
    DnsAnswer *answers;
    u32 len, cap;
    int status;
    bool is_done;
} Lookup;

static void answer_add(Lookup *l, Str host, u16 port)
{
    if (l->len == l->cap) {
        u32 cap = l->cap ? l->cap * 2 : 16;
        DnsAnswer *grown = arena_array(l->arena, DnsAnswer, cap);
        if (!grown)
            return;
        if (l->len)
            memcpy(grown, l->answers, l->len * sizeof *grown);
        l->answers = grown;
        l->cap = cap;
    }
    l->answers[l->len++] = (DnsAnswer){arena_dup(l->arena, host), port};
}

static int parse_hosts(Lookup *l, const unsigned char *reply, int len)
{
    char text[INET6_ADDRSTRLEN];
    struct ares_addrttl v4[256];
    struct ares_addr6ttl v6[256];
    int n = 256;
    int status = l->type == DNS_A ? ares_parse_a_reply(reply, len, NULL, v4, &n)
                                  : ares_parse_aaaa_reply(reply, len, NULL, v6, &n);
    for (int i = 0; status == ARES_SUCCESS && i < n; i++) {
        if (l->type == DNS_A)
            inet_ntop(AF_INET, &v4[i].ipaddr, text, sizeof text);
        else
            inet_ntop(AF_INET6, &v6[i].ip6addr, text, sizeof text);
        answer_add(l, str_c(text), 0);
    }
    return status;
}

static void on_reply(void *arg, int status, int timeouts, unsigned char *reply, int len)
{
    Lookup *l = arg;
    l->is_done = true;
    l->status = status;
    if (status != ARES_SUCCESS)
        return;
    if (l->type == DNS_SRV) {
        struct ares_srv_reply *first = NULL;
        l->status = ares_parse_srv_reply(reply, len, &first);
        for (struct ares_srv_reply *r = first; l->status == ARES_SUCCESS && r; r = r->next)
            answer_add(l, str_c(r->host), r->port);
        ares_free_data(first);
    } else if (l->type == DNS_MX) {
        struct ares_mx_reply *first = NULL;
        l->status = ares_parse_mx_reply(reply, len, &first);
        for (struct ares_mx_reply *r = first; l->status == ARES_SUCCESS && r; r = r->next)
            answer_add(l, str_c(r->host), 0);
        ares_free_data(first);
    } else {
        l->status = parse_hosts(l, reply, len);
    }
}

static void wait_for_reply(ares_channel channel, Lookup *l)
{
    while (!l->is_done) {
        ares_socket_t socks[ARES_GETSOCK_MAXNUM];
        struct pollfd fds[ARES_GETSOCK_MAXNUM];
        int mask = ares_getsock(channel, socks, ARES_GETSOCK_MAXNUM), n = 0;
        for (int i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
            short events = 0;
            if (ARES_GETSOCK_READABLE(mask, i))
                events |= POLLIN;
            if (ARES_GETSOCK_WRITABLE(mask, i))
                events |= POLLOUT;
            if (events)
                fds[n++] = (struct pollfd){socks[i], events, 0};
        }
        struct timeval max = {1, 0}, buf, *wait = ares_timeout(channel, &max, &buf);
        poll(fds, (nfds_t)n, (int)(wait->tv_sec * 1000 + wait->tv_usec / 1000 + 1));
        for (int i = 0; i < n; i++)
            ares_process_fd(channel,
                            fds[i].revents & (POLLIN | POLLERR | POLLHUP) ? fds[i].fd : ARES_SOCKET_BAD,
                            fds[i].revents & POLLOUT ? fds[i].fd : ARES_SOCKET_BAD);
        ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    }
}

static pthread_once_t ares_once = PTHREAD_ONCE_INIT;
static void ares_start(void)
{
    ares_library_init(ARES_LIB_INIT_ALL);
}

Err dns_lookup(void *arg, Str name, DnsSdType type, Arena *arena, DnsAnswer **ret, u32 *ret_len, Why *why)
{
    static const int rr[] = {
        [DNS_SRV] = ns_t_srv, [DNS_A] = ns_t_a, [DNS_AAAA] = ns_t_aaaa, [DNS_MX] = ns_t_mx};
    struct ares_options options = {.timeout = 5000, .tries = 2};
    ares_channel channel;
    pthread_once(&ares_once, ares_start);
    int status = ares_init_options(&channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES);
    if (status != ARES_SUCCESS)
        return why_set(why, E_IO, "the resolver cannot start: %s", ares_strerror(status));
    Lookup l = {.type = type, .arena = arena};
    Str text = arena_dup(arena, name);
    ares_search(channel, text.at, ns_c_in, rr[type], on_reply, &l);
    wait_for_reply(channel, &l);
    ares_destroy(channel);
    if (l.status == ARES_ENOTFOUND || l.status == ARES_ENODATA)
        return why_set(why, E_NOT_FOUND, "no such records");
    if (l.status != ARES_SUCCESS)
        return why_set(why, E_UNAVAILABLE, "%s", ares_strerror(l.status));
    *ret = l.answers;
    *ret_len = l.len;
    return OK;
}

/* ---- records to targets ---- */

static Str rooted(Arena *a, Str host)
{
    return str_ends(host, S(".")) ? host : arena_printf(a, "%.*s.", STR_FMT(host));
}

static Labels target_of(const DnsSd *c, Str name, const DnsAnswer *answer, Arena *a)
{
    LabelsBuilder b;
    Str host = answer->host;
    while (str_ends(host, S(".")))
        host = str_sub(host, 0, host.len - 1);
    u32 port = c->type == DNS_SRV ? answer->port : c->port;
    bool is_v6 = str_find_char(host, ':') != SIZE_MAX;
    lb_init(&b, a, (Labels){0});
    lb_set(&b, S("__address__"), arena_printf(a, is_v6 ? "[%.*s]:%u" : "%.*s:%u", STR_FMT(host), port));
    lb_set(&b, S("__meta_dns_name"), name);
    if (c->type == DNS_SRV) {
        lb_set(&b, S("__meta_dns_srv_record_target"), rooted(a, answer->host));
        lb_set(&b, S("__meta_dns_srv_record_port"), arena_printf(a, "%u", port));
    }
    if (c->type == DNS_MX)
        lb_set(&b, S("__meta_dns_mx_record_target"), rooted(a, answer->host));
    return lb_build(&b);
}

static bool groups_agree(const SdItem *a, const SdItem *b)
{
    if (a->groups_len != b->groups_len ||
        (a->groups_len && a->groups[0].targets_len != b->groups[0].targets_len))
        return false;
    for (u32 i = 0; a->groups_len && i < a->groups[0].targets_len; i++)
        if (!labels_eq(a->groups[0].targets[i], b->groups[0].targets[i]))
            return false;
    return true;
}

static SdItem *name_look_up(SdJob *job, const DnsSd *c, Str name, Why *why, Err *ret_err)
{
    SdItem *item = sd_item_new(name);
    DnsAnswer *answers = NULL;
    u32 len = 0;
    metric_inc(metric_counter("prometheus_sd_dns_lookups_total", "The number of DNS-SD lookups.", ""));
    Err e = job->env.dns(job->env.dns_arg, item->key, c->type, &item->arena, &answers, &len, why);
    *ret_err = e;
    if (e != OK && e != E_NOT_FOUND) {
        sd_item_free(item);
        return NULL;
    }
    item->groups = arena_new(&item->arena, TargetGroup);
    item->groups_len = 1;
    Labels *targets = len ? arena_array(&item->arena, Labels, len) : NULL;
    for (u32 i = 0; targets && i < len; i++)
        targets[i] = target_of(c, item->key, &answers[i], &item->arena);
    /* Servers rotate their answers: an order of our own keeps the list the same while the records are. */
    if (targets)
        qsort(targets, len, sizeof *targets, labels_order);
    *item->groups = (TargetGroup){.source = item->key, .targets = targets, .targets_len = targets ? len : 0};
    return item;
}

void dns_sd_work(SdJob *job)
{
    const DnsSd *c = job->config;
    for (u32 i = 0; i < c->names_len; i++) {
        Why why;
        Err e;
        SdItem *old = sd_item_find(&job->before, c->names[i]);
        if (sd_item_find(&job->after, c->names[i]))
            continue;
        SdItem *item = name_look_up(job, c, c->names[i], &why, &e);
        if (e != OK) {
            metric_inc(metric_counter("prometheus_sd_dns_lookup_failures_total",
                                      "The number of DNS-SD lookup failures.", ""));
            LOG_WARN("discovery", "DNS look-up failed", LF_STR("name", c->names[i]), LF_WHY(&why));
        }
        if (item && old && groups_agree(item, old)) {
            sd_item_free(item);
            item = old;
        }
        if (!item)
            item = old; /* the last good answer stays while the server does not answer */
        if (item)
            vec_push(&job->after, item);
    }
}
