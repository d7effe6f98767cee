/* alert_internal: what the files of alert/ share. */
#pragma once
#include "alert/alert.h"
#include "text/tmpl.h"

/* Route and receivers, plus what rendering needs. */
struct AlertConfig {
    _Atomic u32 refs;
    Conf *conf;
    Arena arena;
    const AlertRoute *route;
    u32 routes_len, templates_len;
    u64 hash; /* of the text, as Alertmanager's metric has it: the first 48 bits of its MD5 */
    const Receiver *receivers;
    u32 receivers_len;
    const InhibitRule *inhibit_rules;
    u32 inhibit_rules_len;
    const TimeIntervals *intervals;
    u32 intervals_len;
    i64 resolve_timeout_ms;
    TmplSet *templates;
    VEC(MatchList) matchers; /* all of them, to be freed */
    Why broken;              /* a template file that cannot be read or parsed */
};
TmplSet *alert_config_templates(const AlertConfig *c);

/* ---- tables of fields ---- */
typedef enum FieldKind {
    F_TEXT,
    F_TMPL, /* a template: no environment expansion */
    F_BOOL,
    F_I64,
    F_U64,
    F_SECRET,
    F_SECRET_URL,
    F_TMPL_URL,      /* a secret URL that may be a template */
    F_URL,           /* http or https */
    F_FILE,          /* relative to the file's directory */
    F_HOSTPORT,      /* host:port */
    F_DURATION,      /* Prometheus's; ms */
    F_GO_DURATION,   /* Go's, or bare nanoseconds */
    F_TEXT_DURATION, /* Go's */
    F_MAP,           /* names to texts */
    F_STRS,
    F_TLS,
    F_ANY, /* node only */
    F_SUB, /* a block */
    F_LIST /* of blocks */
} FieldKind;
typedef struct FieldSpec FieldSpec;
struct FieldSpec {
    const char *name;
    FieldKind kind;
    const char *dflt;
    const FieldSpec *sub;
    u32 sub_len;
    bool need; /* in a block: not empty */
};
typedef struct IntegrationSpec {
    const char *name, *key; /* "discord", "discord_configs" */
    const FieldSpec *fields;
    u32 len;
    bool send_resolved; /* the default */
    bool is_sent;       /* else it is read, checked and warned about */
} IntegrationSpec;
extern const IntegrationSpec integration_specs[INTEGRATION_KINDS];

typedef struct ConfigReader {
    AlertConfig *c;
    Conf *conf;
    Vfs *vfs;
    HttpClientConfig http; /* global */
    const FieldValue *global;
} ConfigReader;
const FieldValue *fields_find(const FieldSpec *spec, u32 len, const FieldValue *v, const char *name);
FieldValue *fields_read(ConfigReader *r, ConfMap *m, const FieldSpec *spec, u32 len);
const FieldValue *global_field(const ConfigReader *r, const char *name);
HttpClientConfig config_read_http(ConfigReader *r, ConfMap *m);
/* What the table cannot say, the defaults that come from the global block, and where messages go. */
void integration_check(ConfigReader *r, const ConfNode *n, IntegrationConfig *c, bool has_http,
                       bool has_auth);
void integration_read(ConfigReader *r, const ConfNode *n, IntegrationKind kind, IntegrationConfig *ret);
Matchers config_read_matchers(ConfigReader *r, ConfMap *m, const char *match, const char *match_re,
                              const char *matchers);
void time_intervals_read(Conf *c, const ConfNode *n, const char *what, TimeIntervals *ret);
AlertRoute *route_read(ConfigReader *r, const ConfNode *n);
