#!/usr/bin/env bash
# make check: layer order, banned calls, format, tidy. Prints each finding; exit status 1 if there is one.
set -u
cd "$(dirname "$0")/.."
bad=0
scripts/check_layers.py || bad=1

# Calls that are unsafe, or that bypass a seam. A line may say "allowed:" with a reason.
banned='\b(strcpy|strcat|strncpy|sprintf|vsprintf|strtok|atoi|atol|atof|gets|scanf|sscanf|fscanf|gmtime|localtime|system|popen|rand|srand|alloca)\('
if git grep -nE "$banned" -- 'src/*.c' 'src/*.h' 'src/*.cc' | grep -v 'allowed:'; then
    echo "check: the calls above are banned (bounded or thread-safe forms exist)"; bad=1
fi
if git grep -nE '\b(open|pread|pwrite|rename|unlink|fsync|fdatasync|ftruncate)\(' -- 'src/store/*.c' 'src/metrics/*.c' |
    grep -vE '(->|_|[a-z])(open|pread|pwrite|rename|unlink|fsync|fdatasync|ftruncate)\(|allowed:'; then
    echo "check: stores do their file I/O through the Vfs"; bad=1
fi
if git grep -nE '\b(TODO|FIXME|XXX)\b' -- src ui/src fuzz bench scripts | grep -v 'scripts/check.sh'; then
    echo "check: finish it or leave it out"; bad=1
fi
unformatted=$(git ls-files 'src/*.c' 'src/*.h' 'src/*.cc' 'tests/*.c' 'tests/*.h' 'fuzz/*.c' 'bench/*.c' |
    xargs -r clang-format-19 --dry-run -Werror 2>&1 | grep -oE '^[^:]+' | sort -u | head -20)
if [ -n "$unformatted" ]; then
    echo "check: not formatted (clang-format-19 -i):"; echo "$unformatted"; bad=1
fi
git ls-files 'src/*.c' 'src/*.h' | xargs wc -l | awk '$2 != "total" && $1 > 1500 {print "check: " $2 " has " $1 " lines; no file over 1500"; bad = 1} END {exit bad}' || bad=1
if [ "${TIDY:-1}" = 1 ] && [ -f build-san/compile_commands.json ]; then
    git ls-files 'src/*.c' | xargs -P "$(nproc)" -n 8 clang-tidy-19 -quiet -p build-san 2>/dev/null | grep -E 'warning:|error:' | sort -u | head -40 >build-san/tidy.txt
    if [ -s build-san/tidy.txt ]; then cat build-san/tidy.txt; bad=1; fi
fi
[ $bad -eq 0 ] && echo "check: clean"
exit $bad
