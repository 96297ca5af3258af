//! Tables of what blocks of Python say.

use super::{Information, Scope};

/// What a block prints, or what is wrong with it and where.
fn run(code: &str) -> Result<Vec<String>, String> {
    let information = Information::from([
        ("tcpi_rto", 200_000),
        ("tcpi_snd_cwnd", 10),
        ("tcpi_ca_state", 0),
    ]);
    let mut scope = Scope::default();
    match scope.run(code, &information) {
        Ok(()) => Ok(scope.into_printed()),
        Err(error) => Err(format!("{}: {}", error.line, error.message)),
    }
}

/// What `print` makes of an expression.
fn value(expression: &str) -> String {
    match run(&format!("print({expression})")) {
        Ok(lines) => lines.join("\n"),
        Err(error) => error,
    }
}

#[test]
fn expressions_have_pythons_values() {
    let table = [
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("7 // 2, -7 // 2, 7 % 3, -7 % 3", "3 -4 1 2"),
        ("7 / 2", "3.5"),
        ("2 ** 3 ** 2", "512"),
        ("-2 ** 2", "-4"),
        ("1 << 4 | 1, 6 & 3, 6 ^ 3, ~0", "17 2 5 -1"),
        ("0x10, 1_000, 1e3, .5", "16 1000 1000.0 0.5"),
        ("1 < 2 < 3, 1 < 2 > 3", "True False"),
        ("1 == 1.0, 'a' == 'a', None is None", "True True True"),
        ("not 0, not not 1", "True True"),
        ("0 or 5, 1 and 5, 0 and 5", "5 5 0"),
        ("1 if 0 else 2", "2"),
        ("3 in (1, 2, 3), 4 not in [1, 2]", "True True"),
        ("'b' in 'abc'", "True"),
        ("abs(-3), min(3, 1, 2), max((3, 1)), round(2.5)", "3 1 3 2"),
        ("int('12'), int(2.9), float(2), str(3) + 'a'", "12 2 2.0 3a"),
        (
            "len('abc'), len((1, 2)), sum((1, 2, 3)), hex(255)",
            "3 2 6 0xff",
        ),
        ("(1, 2)[0], (1, 2)[-1]", "1 2"),
        ("'%d of %s: %x' % (3, 'a', 255)", "3 of a: ff"),
        ("'%5.1f|%-4d|%03d' % (2.25, 7, 7)", "  2.2|7   |007"),
        ("'{} {1:x} {0}'.format(1, 255)", "1 ff 1"),
        (
            "f'rto {tcpi_rto} {tcpi_rto:x} {tcpi_rto / 1000:.1f}'",
            "rto 200000 30d40 200.0",
        ),
        ("f'{tcpi_snd_cwnd=}'", "tcpi_snd_cwnd=10"),
        ("TCP_CA_Open, TCP_CA_Loss, TCP_ESTABLISHED", "0 4 1"),
    ];
    for (expression, wanted) in table {
        assert_eq!(value(expression), wanted, "{expression}");
    }
}

#[test]
fn what_is_wrong_is_an_error_and_never_passes() {
    let table = [
        ("assert 1 == 2", "0: assertion failed: 1 == 2"),
        (
            "assert tcpi_snd_cwnd == 3, tcpi_rto",
            "0: assertion failed: tcpi_snd_cwnd == 3 (tcpi_snd_cwnd = 10): 200000",
        ),
        (
            "assert tcpi_ca_state == TCP_CA_Loss, 'state %d' % tcpi_ca_state",
            "0: assertion failed: tcpi_ca_state == TCP_CA_Loss (tcpi_ca_state = 0, TCP_CA_Loss = 4): state 0",
        ),
        ("\nassert 1\nassert 0", "2: assertion failed: 0"),
        (
            "assert tcpi_nothing",
            "0: `tcpi_nothing` is not known: no connection that offers TCP_INFO has it",
        ),
        ("assert nothing", "0: `nothing` has no value"),
        ("assert 1 / 0", "0: division by zero"),
        ("assert 'a' < 1", "0: a and 1 have no order"),
        ("assert", "0: expected a value, found the end of the line"),
        ("assert (1", "0: expected `)`, found the end of the line"),
        ("assert 1 1", "0: `1` was not expected"),
        (
            "while 1: pass",
            "0: `while` is more Python than is understood here",
        ),
        (
            "import os",
            "0: `import` is more Python than is understood here",
        ),
        ("open('a')", "0: there is no function `open` here"),
        ("print('a", "0: a text without its end"),
        (
            "if 1:\nassert 1",
            "0: there is nothing indented below this line",
        ),
        (
            "if 1:\n  pass\n    pass",
            "2: this line is not indented as the one before",
        ),
        (
            "else: pass",
            "0: `else` is more Python than is understood here",
        ),
        ("for x in 3: pass", "0: there is nothing to go through in 3"),
        (
            "for x in range(100000): pass",
            "0: a range of more than 10000 numbers",
        ),
        ("assert (1, 2)[2]", "0: there is no item 2 in (1, 2)"),
        ("print('%d' % 'a')", "0: `d` is no format for a"),
        ("assert ?", "0: `?` means nothing here"),
    ];
    for (code, wanted) in table {
        assert_eq!(run(code), Err(wanted.to_owned()), "{code}");
    }
}

#[test]
fn blocks_run_as_they_are_indented() {
    let table = [
        (" x = 3; x += 2\nprint(x)", "5"),
        (" if tcpi_rto > 1:\n  print('a')\n else:\n  print('b')", "a"),
        (
            "\nif 0:\n  print('a')\nelif 1:\n  print('b')\n  print('c')\nelse:\n  print('d')\nprint('e')",
            "b c e",
        ),
        (
            "\n    if 1:\n        if 0:\n            print('a')\n        else:\n            print('b')\n    print('c')",
            "b c",
        ),
        ("if 1: print('a'); print('b')\nelse: print('c')", "a b"),
        (
            "\nfor i in range(3):\n  print(i)\nfor i in (7, 8): print(i)",
            "0 1 2 7 8",
        ),
        (
            "\nassert (1 ==\n        1), \\\n  'a'\n# a comment\nprint('ok')  # another",
            "ok",
        ),
        (
            "\nx = 1 if tcpi_snd_cwnd == 10 else 0\nassert x\nprint(x)",
            "1",
        ),
    ];
    for (code, wanted) in table {
        let printed = run(code).map(|lines| lines.join(" "));
        assert_eq!(printed.as_deref(), Ok(wanted), "{code}");
    }
}

#[test]
fn names_keep_their_values_from_block_to_block() {
    let mut scope = Scope::default();
    let information = Information::new();
    scope.run("x = 3", &information).unwrap();
    scope.run("assert x == 3", &information).unwrap();
    let lost = Scope::default().run("assert x == 3", &information);
    assert_eq!(lost.unwrap_err().message, "`x` has no value");
}
