#!/usr/bin/env python3
"""Manual pages and shell completion, made from what the binary itself says, so that they cannot disagree with it.

    packaging/docs.py BINARY OUTDIR     writes man1/*.1, pharos.bash, _pharos (zsh), pharos.fish
"""
import os, re, subprocess, sys

binary, out = sys.argv[1:]
ask = lambda *words: subprocess.run([binary, *words], capture_output=True, text=True, check=True).stdout
version = ask('--version').split()[1].strip(',')
commands = dict(re.findall(r'^  pharos ([a-z]+)\s{1,}(\S.*)$', ask('--help'), re.M))
helps = {'all': ask('all', '--help'), **{c: ask(c, '--help') for c in commands}}
flags = {c: re.findall(r'^  (--[a-z0-9.-]+)(=\.\.\.)?(?:\s+(.*))?$', text, re.M) for c, text in helps.items()}
summary = {'all': 'start the server with everything', **commands}


def roff(line):
    line = line.replace('\\', '\\e').replace('-', '\\-')
    return '\\&' + line if line.startswith(('.', "'")) else line


def page(name, title, text, own_flags, also):
    usage, body, in_usage = [], [], True
    for line in text.split('\nFlags:\n')[0].rstrip().split('\n'):
        if in_usage and line.startswith(('pharos', 'promtool', 'amtool')):
            usage.append(line)
        else:
            in_usage = False
            body.append(line)
    lines = [f'.TH {name.upper()} 1 "" "Pharos {version}" "User Commands"', '.SH NAME', f'{roff(name)} \\- {roff(title)}', '.SH SYNOPSIS', '.nf']
    lines += [roff(x) for x in usage or [f'pharos {name.removeprefix("pharos-")}']] + ['.fi', '.SH DESCRIPTION']
    literal = False
    for line in body:
        if line.startswith('  ') != literal and line:
            literal = not literal
            lines.append('.nf' if literal else '.fi')
        lines.append(roff(line) if line else '.PP' if not literal else '')
    if literal:
        lines.append('.fi')
    if own_flags:
        lines.append('.SH OPTIONS')
        for flag, value, what in own_flags:
            lines += ['.TP', f'\\fB{roff(flag)}\\fR' + ('=\\fIvalue\\fR' if value else ''), roff(what or '')]
    lines += ['.SH EXIT STATUS', '0 fine, 1 something failed or was found wrong, 2 called wrongly.', '.SH SEE ALSO', ', '.join(f'\\fB{roff(x)}\\fR(1)' for x in also), '']
    with open(f'{out}/man1/{name}.1', 'w') as f:
        f.write('\n'.join(lines))


os.makedirs(f'{out}/man1', exist_ok=True)
pages = [f'pharos-{c}' for c in sorted(helps)]
page('pharos', 'metrics, rules, alerts and their pages in one binary', ask('--help'), flags['all'], pages)
for c in helps:
    page(f'pharos-{c}', summary[c], helps[c], flags[c], ['pharos'])

words = ' '.join(sorted(helps))
values = {c: ' '.join(f + ('=' if v else '') for f, v, _ in fl) for c, fl in flags.items()}
with open(f'{out}/pharos.bash', 'w') as f:
    cases = '\n'.join(f"        {c}) words='{w} --help' ;;" for c, w in sorted(values.items()))
    f.write(f'''# bash completion of pharos
_pharos() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} words
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W '{words} --help --version' -- "$cur"))
        return
    fi
    case ${{COMP_WORDS[1]}} in
{cases}
    esac
    if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "$words" -- "$cur"))
        [[ ${{COMPREPLY[0]-}} == *= ]] && compopt -o nospace
    else
        compopt -o default
    fi
}}
complete -F _pharos pharos
''')
q = lambda s: s.replace("'", "'\\''")
z = lambda s: q(s).replace('[', '\\[').replace(']', '\\]').replace(':', '\\:')
with open(f'{out}/_pharos', 'w') as f:
    cases = '\n'.join(f"    {c}) _arguments " + ' '.join(f"'{fl}{'=' if v else ''}[{z(w or '')}]{':value:_files' if v else ''}'" for fl, v, w in fls) + " '*:file:_files' ;;" for c, fls in sorted(flags.items()))
    listed = ' '.join(f"'{c}:{z(summary[c])}'" for c in sorted(helps))
    f.write(f'''#compdef pharos
local -a commands
commands=({listed})
if (( CURRENT == 2 )); then
    _describe command commands
    return
fi
local command=$words[2]
shift words
(( CURRENT-- ))
case $command in
{cases}
esac
''')
with open(f'{out}/pharos.fish', 'w') as f:
    f.write('# fish completion of pharos\n')
    for c in sorted(helps):
        f.write(f"complete -c pharos -n __fish_use_subcommand -a {c} -d '{q(summary[c])}'\n")
        for fl, v, w in flags[c]:
            f.write(f"complete -c pharos -n '__fish_seen_subcommand_from {c}' -l '{fl[2:]}' {'-r ' if v else ''}-d '{q(w or '')}'\n")
