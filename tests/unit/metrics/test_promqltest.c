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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_public_scripts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
