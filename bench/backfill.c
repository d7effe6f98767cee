/* Sends generated history by remote_write 1.0 as fast as the receiver takes it, in order of time.
 *
 *     backfill --url http://127.0.0.1:9090/api/v1/write --series 2000 --interval-ms 15000 --samples 172800 --end-ms 1764000000000
 *              [--names 1] [--window 240] [--connections 2] [--seed 1]
 *
 * Eleven labels a series. Series i is metric_(i % names)_total: a counter that grows by whole numbers or by hundredths, and starts
 * again about once in 20,000 samples. A request carries `window` samples of as many series as make some 10,000 samples; all series
 * of one window are sent before the next window begins. 429 and 503 are tried again. The last line is "samples=N seconds=S bytes=B".
 */
#include "wire/wire.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PER_REQUEST = 10000, BODY_MAX = 32 << 20 };

typedef struct Series {
    u64 random;
    u64 value;
} Series;

typedef struct Plan {
    char host[64], path[256];
    u16 port;
    u32 series, names, window, connections;
    u64 samples;
    i64 interval_ms, end_ms, seed;
    Series *state;
    pthread_barrier_t window_done;
} Plan;

typedef struct Sender {
    const Plan *plan;
    pthread_barrier_t *window_done;
    u32 index;
    int fd;
    Buf body, packed, request;
    u64 bytes;
} Sender;

static void die(const char *fmt, const char *what)
{
    fprintf(stderr, "backfill: ");
    fprintf(stderr, fmt, what);
    fprintf(stderr, "\n");
    exit(1);
}

/* ---- bodies ---- */

static void put_label(Buf *b, const char *name, const char *value)
{
    size_t mark = pb_begin(b, 1);
    pb_put_bytes(b, 1, str_c(name));
    pb_put_bytes(b, 2, str_c(value));
    pb_end(b, mark);
}

static void put_labels(Buf *b, const Plan *p, u32 i)
{
    static const char *const methods[] = {"GET", "POST", "PUT"};
    char text[64];
#define LABEL(name, ...) (snprintf(text, sizeof text, __VA_ARGS__), put_label(b, name, text))
    LABEL("__name__", "metric_%u_total", i % p->names);
    put_label(b, "cluster", "eu-west-1a");
    LABEL("code", "%u", 200 + i % 5);
    put_label(b, "container", "main");
    LABEL("handler", "/api/v1/thing/%u", i % 11);
    LABEL("instance", "host-%05u:9100", i / 500);
    put_label(b, "job", "bench");
    put_label(b, "method", methods[i % 3]);
    LABEL("namespace", "team-%u", i % 7);
    LABEL("pod", "service-%06u-abcdef", i / 50);
    LABEL("slot", "%u", i % 500);
#undef LABEL
}

static f64 next_value(Series *s, u32 i)
{
    s->random ^= s->random >> 12;
    s->random ^= s->random << 25;
    s->random ^= s->random >> 27;
    u64 r = s->random * 0x2545F4914F6CDD1Dull;
    s->value = r % 20000 == 0 ? 0 : s->value + (r >> 40) % (i & 1 ? 200 : 1500);
    return i & 1 ? (f64)s->value : (f64)s->value / 100;
}

static void put_sample(Buf *b, f64 v, i64 t)
{
    u8 *at = (u8 *)b->at + b->len;
    *at++ = 2 << 3 | PB_BYTES;
    u8 *len = at++;
    *at++ = 1 << 3 | PB_FIXED64;
    memcpy(at, &v, 8);
    at += 8;
    *at++ = 2 << 3 | PB_VARINT;
    at += uvarint_put(at, (u64)t);
    *len = (u8)(at - len - 1);
    b->len = (size_t)((char *)at - b->at);
}

static void put_series(Sender *s, u32 i, u64 from, u64 to)
{
    const Plan *p = s->plan;
    size_t mark = pb_begin(&s->body, 1);
    put_labels(&s->body, p, i);
    if (!buf_reserve(&s->body, (to - from) * 32))
        die("%s", "a window too long for one request");
    for (u64 k = from; k < to; k++)
        put_sample(&s->body, next_value(&p->state[i], i),
                   p->end_ms - (i64)(p->samples - 1 - k) * p->interval_ms);
    pb_end(&s->body, mark);
}

/* ---- sending ---- */

static int dial(const Plan *p)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(p->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    if (inet_pton(AF_INET, p->host, &at.sin_addr) != 1 || connect(fd, (struct sockaddr *)&at, sizeof at) < 0)
        die("cannot connect to %s", p->host);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static bool send_all(int fd, Str bytes)
{
    while (bytes.len) {
        ssize_t n = send(fd, bytes.at, bytes.len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        bytes = str_skip(bytes, (size_t)n);
    }
    return true;
}

/* Reads one answer whole; its status, 0 when the connection ended before. ret_closes: no other request over this connection. */
static int read_answer(int fd, Buf *in, bool *ret_closes)
{
    size_t head = SIZE_MAX;
    u64 want = 0;
    *ret_closes = false;
    for (buf_clear(in); head == SIZE_MAX || in->len < head + want;) {
        char chunk[4096];
        ssize_t n = recv(fd, chunk, sizeof chunk, 0);
        if (n <= 0)
            return 0;
        buf_put(in, chunk, (size_t)n);
        if (head == SIZE_MAX && (head = str_find(buf_view(in), S("\r\n\r\n"))) != SIZE_MAX) {
            head += 4;
            Str line, rest = str_sub(buf_view(in), 0, head), key, value;
            while (str_cut(rest, '\n', &line, &rest)) {
                str_cut(line, ':', &key, &value);
                if (str_eq_nocase(key, S("Content-Length")))
                    want = strtoull(value.at, NULL, 10);
                if (str_eq_nocase(key, S("Connection")))
                    *ret_closes = str_eq_nocase(str_trim(value), S("close"));
            }
        }
    }
    return in->len > 12 ? (int)strtol(in->at + 9, NULL, 10) : 0;
}

static void put_request(Sender *s)
{
    buf_clear(&s->request);
    buf_printf(
        &s->request,
        "POST %s HTTP/1.1\r\nHost: %s:%u\r\nContent-Type: application/x-protobuf\r\nContent-Encoding: "
        "snappy\r\n"
        "X-Prometheus-Remote-Write-Version: 0.1.0\r\nUser-Agent: backfill\r\nContent-Length: %zu\r\n\r\n",
        s->plan->path, s->plan->host, s->plan->port, s->packed.len);
    buf_str(&s->request, buf_view(&s->packed));
}

/* Until it is stored. What was sent over a connection that then ended is sent again: a receiver takes equal samples twice. */
static void send_body(Sender *s)
{
    buf_clear(&s->packed);
    snappy_encode(buf_view(&s->body), &s->packed);
    s->bytes += s->packed.len;
    for (u32 ended = 0; ended < 100;) {
        bool closes = true;
        put_request(s);
        if (s->fd < 0)
            s->fd = dial(s->plan);
        int status = send_all(s->fd, buf_view(&s->request)) ? read_answer(s->fd, &s->request, &closes) : 0;
        if (status == 0 || closes) {
            close(s->fd);
            s->fd = -1;
        }
        if (status / 100 == 2)
            return;
        if (status != 0 && status != 429 && status != 503)
            die("refused: %s", buf_cstr(&s->request));
        ended += status == 0;
        usleep(100000);
    }
    die("%s", "the receiver closes every connection");
}

static void *run_sender(void *arg)
{
    Sender *s = arg;
    const Plan *p = s->plan;
    u32 chunk = MAX(1u, PER_REQUEST / p->window);
    s->fd = -1;
    for (u64 from = 0; from < p->samples; from += p->window) {
        u64 to = MIN(from + p->window, p->samples);
        for (u64 first = (u64)s->index * chunk; first < p->series; first += (u64)chunk * p->connections) {
            buf_clear(&s->body);
            for (u64 i = first; i < MIN(first + chunk, p->series); i++)
                put_series(s, (u32)i, from, to);
            send_body(s);
        }
        pthread_barrier_wait(s->window_done);
    }
    if (s->fd >= 0)
        close(s->fd);
    return NULL;
}

static f64 now_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (f64)t.tv_sec + (f64)t.tv_nsec / 1e9;
}

static void run(Plan *p)
{
    p->state = mem_zalloc(p->series * sizeof p->state[0]);
    for (u32 i = 0; i < p->series; i++) {
        u64 key[2] = {(u64)p->seed, i};
        p->state[i].random = hash_bytes(key, sizeof key, 11) | 1;
    }
    pthread_barrier_init(&p->window_done, NULL, p->connections);
    Sender *senders = mem_zalloc(p->connections * sizeof senders[0]);
    pthread_t *threads = mem_zalloc(p->connections * sizeof threads[0]);
    f64 start = now_seconds();
    u64 bytes = 0;
    for (u32 i = 0; i < p->connections; i++) {
        senders[i] = (Sender){.plan = p, .window_done = &p->window_done, .index = i};
        buf_init(&senders[i].body, BODY_MAX);
        buf_init(&senders[i].packed, BODY_MAX + (BODY_MAX >> 1));
        buf_init(&senders[i].request, 2ull * BODY_MAX);
        if (pthread_create(&threads[i], NULL, run_sender, &senders[i]) != 0)
            die("%s", "no thread");
    }
    for (u32 i = 0; i < p->connections; i++) {
        pthread_join(threads[i], NULL);
        bytes += senders[i].bytes;
    }
    printf("samples=%llu seconds=%.2f bytes=%llu\n", (unsigned long long)(p->samples * p->series),
           now_seconds() - start, (unsigned long long)bytes);
}

static void read_url(Plan *p, Str url)
{
    Str host, port, path;
    if (!str_starts(url, S("http://")))
        die("%s", "--url http://ADDRESS:PORT/PATH");
    str_cut(str_skip(url, 7), '/', &host, &path);
    str_cut(host, ':', &host, &port);
    snprintf(p->host, sizeof p->host, "%.*s", STR_FMT(host));
    snprintf(p->path, sizeof p->path, "/%.*s", STR_FMT(path));
    p->port = (u16)strtoul(port.at, NULL, 10);
}

int main(int argc, char **argv)
{
    Plan p = {.series = 2000,
              .names = 1,
              .window = 240,
              .connections = 2,
              .samples = 172800,
              .interval_ms = 15000,
              .seed = 1};
    for (int i = 1; i + 1 < argc; i += 2) {
        Str flag = str_c(argv[i]);
        u64 n = strtoull(argv[i + 1], NULL, 10);
        if (str_eq(flag, S("--url")))
            read_url(&p, str_c(argv[i + 1]));
        else if (str_eq(flag, S("--series")))
            p.series = (u32)n;
        else if (str_eq(flag, S("--names")))
            p.names = (u32)n;
        else if (str_eq(flag, S("--window")))
            p.window = (u32)n;
        else if (str_eq(flag, S("--connections")))
            p.connections = (u32)n;
        else if (str_eq(flag, S("--samples")))
            p.samples = n;
        else if (str_eq(flag, S("--interval-ms")))
            p.interval_ms = (i64)n;
        else if (str_eq(flag, S("--end-ms")))
            p.end_ms = (i64)n;
        else if (str_eq(flag, S("--seed")))
            p.seed = (i64)n;
        else
            die("no flag %s", argv[i]);
    }
    if (!p.port || !p.series || !p.names || !p.window || !p.connections || !p.samples)
        die("%s", "needs --url, and no number may be 0");
    if (p.end_ms == 0)
        p.end_ms = (i64)time(NULL) * 1000;
    run(&p);
    return 0;
}
