"""Requests other than well-typed queries: broken text for the parsers, and what is known of series, labels and exemplars."""
from grammar import Gen, Node, VECTOR
from judge import Ask, seconds

TOKENS = ['(', ')', '{', '}', '[5m]', '[5m:1m]', '[', ']', ' by (a) ', ' without () ', ' offset 5m', ' offset -1m', ' @ 5', ' @ end()', ' bool ', ' and ', ' or ', '=~', '!~', '!=',
          '==', "'", '"', '`', '\\', '# x\n', '1e', '0x', '0b1', ':', '-', '+', ',', ' inf ', 'NaN', 'sum', ' group_left ', ' on(a)', ' ignoring(b) ', 'ü', ' ', '\n', '\t', '.', '1_', '_1', '__name__',
          'foo', 'a:b', '"a b"', '{"a b"}', '5m', '1h30m', '1m1h', '300', '-5', '^', '%', 'atan2', ' unless ', '@', '\x00', '\xff', '*', '2 ^ -1', 'rate(', 'topk(1,', 'x', 'abs', 'start()', "'\\x41'", '"\\u00e4"', '"\\777"']


def mutated(rng, text):
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        a = rng.randint(0, len(text))
        b = min(len(text), a + rng.choice([0, 0, 1, 1, 2, 5, 12]))
        how = rng.random()
        if how < 0.5:
            text = text[:a] + rng.choice(TOKENS) + text[b:]
        elif how < 0.8:
            text = text[:a] + text[b:]
        else:
            c = rng.randint(0, len(text))
            text = text[:c] + text[a:b] + text[c:]
    return text


def parsing(gen):
    text = gen.query().text()
    if gen.maybe(0.7):
        text = mutated(gen.rng, text)
    return Ask.of_request(gen.rng.choice(['parse_query', 'format_query']), {'query': text})


def known(gen, data):
    """series, labels and label values. Times cover everything: a peer's head knows no shorter spans."""
    rng, params = gen.rng, {}
    path = rng.choice(['series', 'series', 'labels', 'values', 'values', 'query_exemplars'])
    selectors = [gen.bare_selector(gen.metric(rng.choice(Gen.FLOATS + ('native',)))).text() for _ in range(rng.choice([0, 1, 1, 2]))]
    if selectors or path == 'series':
        params['match[]'] = selectors or ['temp']
    if rng.random() < 0.5:
        params.update(start=seconds(data.start - 60000), end=seconds(data.end + 60000))
    if path == 'values':
        path = f'label/{rng.choice(["job", "instance", "__name__", "le", "nope", "code", "U__label_2e_name", "U___fc_", "pod"])}/values'
    elif path == 'query_exemplars':
        counter = gen.bare_selector('http_requests_total').text()
        params = {'query': rng.choice([counter, f'rate({counter}[5m])', gen.query().text()]), 'start': seconds(data.start), 'end': seconds(data.start + rng.randint(0, data.end - data.start))}
    return Ask.of_request(path, params)
