/* The public conformance scripts of PromQL, and our own. */
#include "test.h"

#include "promqltest.h"

static const char *const public_scripts[] = {
    "aggregators.test",
    "at_modifier.test",
    "collision.test",
    "duration_expression.test",
    "extended_vectors.test",
    "fill-modifier.test",
    "functions.test",
    "histograms.test",
    "info.test",
    "limit.test",
    "literals.test",
    "name_label_dropping.test",
    "native_histograms.test",
    "operators.test",
    "range_queries.test",
    "selectors.test",
    "staleness.test",
    "start_timestamps.test",
    "subquery.test",
    "trig_functions.test",
    "type_and_unit.test",
};

static void test_public_scripts(void **state)
{
    skip_without_shared("promqltest/functions.test");
    const char *only = getenv("PROMQLTEST_FILE");
    u32 passed = 0, total = 0;
    for (u32 i = 0; i < COUNT_OF(public_scripts); i++) {
        char name[128];
        if (only && strcmp(only, public_scripts[i]) != 0)
            continue;
        snprintf(name, sizeof name, "promqltest/%s", public_scripts[i]);
        run_script(shared_path(name), SCRIPT_FEATURES, &passed, &total);
    }
    printf("promqltest: %u of %u evals pass\n", passed, total);
    if (!only)
        assert_int_equal(passed, total);
}

/* Names removed at once, as without the feature flag: the scripts were written for the other way, so that some expectations
 * (names in notes, labels in between) cannot be met. */
static void test_public_scripts_without_delay(void **state)
{
    skip_without_shared("promqltest/functions.test");
    u32 passed = 0, total = 0;
    for (u32 i = 0; i < COUNT_OF(public_scripts); i++) {
        char name[128];
        snprintf(name, sizeof name, "promqltest/%s", public_scripts[i]);
        assert_true(
            run_script(shared_path(name), SCRIPT_FEATURES & ~PROMQL_DELAYED_NAME_REMOVAL, &passed, &total));
    }
    assert_int_equal(total - passed, 37);
}

/* The same answers by every shortcut: bare views, page aggregates, slices. */
static void run_public(bool bare, u32 page, u32 slices)
{
    u32 passed = 0, total = 0;
    script_way.bare = bare;
    script_way.page = page;
    script_way.slices = slices;
    for (u32 i = 0; i < COUNT_OF(public_scripts); i++) {
        char name[128];
        snprintf(name, sizeof name, "promqltest/%s", public_scripts[i]);
        assert_true(run_script(shared_path(name), SCRIPT_FEATURES, &passed, &total));
    }
    script_way.bare = false;
    script_way.page = script_way.slices = 0;
    assert_int_equal(passed, total);
}

static void test_public_scripts_by_shortcuts(void **state)
{
    skip_without_shared("promqltest/functions.test");
    run_public(true, 0, 0);
    run_public(false, 7, 0);
    run_public(false, 0, 3);
    run_public(true, 4, 2);
}

/* Our own scripts: they need no folder beside the checkout. */
static const char *const own_scripts[] = {"numbers.test", "time.test",       "windows.test", "groups.test",
                                          "joins.test",   "histograms.test", "found.test"};

static const char *own_path(const char *name)
{
    static char path[1024];
    const char *root = getenv("PHAROS_SOURCE");
    snprintf(path, sizeof path, "%s/tests/promql/%s", root ? root : ".", name);
    return path;
}

static void test_own_scripts(void **state)
{
    u32 passed = 0, total = 0;
    for (u32 i = 0; i < COUNT_OF(own_scripts); i++)
        assert_true(run_script(own_path(own_scripts[i]), SCRIPT_FEATURES, &passed, &total));
    printf("own scripts: %u of %u evals pass\n", passed, total);
    assert_int_equal(passed, total);
}

/* Every function of the language occurs in our own scripts. */
static void test_scripts_name_every_function(void **state)
{
    Buf text;
    buf_init(&text, 4 << 20);
    for (u32 i = 0; i < COUNT_OF(own_scripts); i++)
        assert_int_equal(vfs_read_file(vfs_os(), own_path(own_scripts[i]), 4 << 20, &text, NULL), OK);
    u32 n;
    const FuncDef *funcs = prom_funcs(&n);
    for (u32 i = 0; i < n; i++) {
        char call[64];
        snprintf(call, sizeof call, "%s(", funcs[i].name);
        if (str_find(buf_view(&text), str_c(call)) == SIZE_MAX)
            fail_msg("no script calls %s", funcs[i].name);
    }
    buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_public_scripts),
        cmocka_unit_test(test_public_scripts_without_delay),
        cmocka_unit_test(test_public_scripts_by_shortcuts),
        cmocka_unit_test(test_own_scripts),
        cmocka_unit_test(test_scripts_name_every_function),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
