//! What the text readers accept, refuse and keep, and that what the encoder writes reads back.

use model::{Exemplar, Labels, LabelsBuilder, Metadata, MetricKind, Sample};
use wire::exposition::ExpositionFormat::{self, OpenMetrics, Prometheus};
use wire::exposition::{Entry, ExpositionReader, encode_series, push_eof, push_family, push_sample};
use wire::remote_write::LabelLimits;

/// Each entry as a line, and the error that ended the text.
fn read(format: ExpositionFormat, text: &[u8]) -> Vec<String> {
    let mut reader = ExpositionReader::new(text, format);
    let mut builder = LabelsBuilder::default();
    let mut shown = Vec::new();
    loop {
        let entry = match reader.next_entry() {
            Ok(None) => return shown,
            Ok(Some(entry)) => entry,
            Err(refused) => {
                shown.push(refused.to_string());
                return shown;
            }
        };
        shown.push(match entry {
            Entry::Kind { family, kind } => format!("{family} is a {}", kind.as_str()),
            Entry::Help { family, help } => format!("{family} means {help:?}"),
            Entry::Unit { family, unit } => format!("{family} in {unit:?}"),
            Entry::Sample(sample) => {
                let labels = match sample.labels(&LabelLimits::default(), &mut builder) {
                    Ok(()) => builder.build().to_string(),
                    Err(refused) => refused.to_string(),
                };
                let exemplar = sample.exemplar.map_or(String::new(), |e| format!(" # {} {} {}", e.labels, e.v, e.t));
                format!("{labels} {} {:?}{exemplar}", sample.v, sample.t)
            }
        });
    }
}

#[track_caller]
fn check(format: ExpositionFormat, text: &str, expected: &[&str]) {
    assert_eq!(read(format, text.as_bytes()), expected, "{text:?}");
}

#[test]
fn an_open_metrics_text_is_read_to_its_end() {
    let text = r#"# TYPE acme_http_router_request_seconds summary
# UNIT acme_http_router_request_seconds seconds
# HELP acme_http_router_request_seconds Latency \\ through \n "all" \"routers\".
acme_http_router_request_seconds_sum{path="/api/v1",method="GET"} 9036.32 1520879607.789
acme_http_router_request_seconds_count 807283.0
# TYPE go_goroutines gauge
go_goroutines 69
# TYPE foo histogram
foo_bucket{le="+Inf"} 17 1520879607 # {trace_id="KOO5S4vxi0o"} 0.67
foo_bucket{le="10"} 17 # {trace_id="oHg5SJYRHA0"} 9.8 1520879607.789
# TYPE "process.cpu.seconds" counter
# HELP "process.cpu.seconds"
{"process.cpu.seconds","node.name"="my_node"} -4.2e-07 -1
# TYPE x unknown
# EOF
"#;
    let expected = [
        "acme_http_router_request_seconds is a summary",
        r#"acme_http_router_request_seconds in "seconds""#,
        r#"acme_http_router_request_seconds means "Latency \\ through \n \"all\" \"routers\".""#,
        r#"acme_http_router_request_seconds_sum{method="GET", path="/api/v1"} 9036.32 Some(1520879607789)"#,
        "acme_http_router_request_seconds_count 807283 None",
        "go_goroutines is a gauge",
        "go_goroutines 69 None",
        "foo is a histogram",
        r#"foo_bucket{le="+Inf"} 17 Some(1520879607000) # {trace_id="KOO5S4vxi0o"} 0.67 1520879607000"#,
        r#"foo_bucket{le="10"} 17 None # {trace_id="oHg5SJYRHA0"} 9.8 1520879607789"#,
        "process.cpu.seconds is a counter",
        r#"process.cpu.seconds means """#,
        r#"{__name__="process.cpu.seconds", "node.name"="my_node"} -0.00000042 Some(-1000)"#,
        "x is a unknown",
    ];
    check(OpenMetrics, text, &expected);
    check(OpenMetrics, text.trim_end(), &expected);
}

#[test]
fn a_prometheus_text_has_comments_blanks_and_milliseconds() {
    let text = "# HELP http_requests_total The total number of \\\\ \\n requests.\n\
        # TYPE http_requests_total counter\r\n\
        \thttp_requests_total { method = \"post\" , code=\"200\", } 1027 1395066363000\r\n\
        \n\
        #no comment matters # TYPE\n\
        # TYPES of all kinds\n\
        # EOF\n\
        #TYPE a b c\n\
        # TYPE untyped untyped\n\
        msdos_file_access_time_seconds{path=\"C:\\\\DIR\\\\FILE.TXT\",error=\"Cannot find file:\\n\\\"FILE.TXT\\\"\"} 1.458255915e9\n\
        something_weird{problem=\"division by zero\"} +Inf -3982045\n\
        odd{a=\"b\"}NaN";
    check(
        Prometheus,
        text,
        &[
            r#"http_requests_total means "The total number of \\ \n requests.""#,
            "http_requests_total is a counter",
            r#"http_requests_total{code="200", method="post"} 1027 Some(1395066363000)"#,
            "untyped is a unknown",
            r#"msdos_file_access_time_seconds{error="Cannot find file:\n\"FILE.TXT\"", path="C:\\DIR\\FILE.TXT"} 1458255915 None"#,
            r#"something_weird{problem="division by zero"} inf Some(-3982045)"#,
            r#"odd{a="b"} NaN None"#,
        ],
    );
}

#[test]
fn lines_against_the_format_are_refused_with_their_place() {
    for (line, refused) in [
        ("up", "line 2, column 3: expected a space before the value, found the end of the line"),
        ("up ", "line 2, column 4: expected a number, found \"\""),
        ("up one", "line 2, column 4: expected a number, found \"one\""),
        ("up 1 now", "line 2, column 6: expected a time in seconds, found \"now\""),
        ("up 1 NaN", "line 2, column 6: expected a time in seconds, found \"NaN\""),
        ("up 1 2 3", "line 2, column 8: text behind the sample"),
        ("9up 1", "line 2, column 1: expected the name of a metric"),
        ("{a=\"b\"} 1", "line 2, column 1: expected the name of a metric"),
        ("{} 1", "line 2, column 1: expected the name of a metric"),
        ("up{a} 1", "line 2, column 5: expected \"=\", found '}'"),
        ("up{\"x.y\"} 1", "line 2, column 9: expected \"=\", found '}'"),
        ("{\"x\",\"y\"} 1", "line 2, column 9: expected \"=\", found '}'"),
        ("up{a=b} 1", "line 2, column 6: expected \"\\\"\", found 'b'"),
        ("up{a=\"\u{e9}\"b=\"c\"} 1", "line 2, column 9: expected ',' or '}', found 'b'"),
        ("up{a=\"b\" 1", "line 2, column 10: expected ',' or '}', found '1'"),
        ("up{a=\"b} 1", "line 2, column 7: text without a closing quote"),
        ("up{a=\"b\\\"} 1", "line 2, column 7: text without a closing quote"),
        ("up{,} 1", "line 2, column 4: expected the name of a label, found ','"),
        ("up{a:b=\"c\"} 1", "line 2, column 5: expected \"=\", found ':'"),
        ("", "line 2, column 1: an empty line"),
        (" up 1", "line 2, column 1: expected the name of a metric"),
        ("# comment", "line 2, column 1: expected # TYPE, # HELP, # UNIT or # EOF"),
        ("#EOF", "line 2, column 1: expected # TYPE, # HELP, # UNIT or # EOF"),
        ("# TYPE", "line 2, column 7: expected a space before the name of a family, found the end of the line"),
        ("# TYPE up", "line 2, column 10: unknown type \"\""),
        ("# TYPE up meter", "line 2, column 11: unknown type \"meter\""),
        ("# TYPE up untyped", "line 2, column 11: unknown type \"untyped\""),
        ("# TYPE up gauge x", "line 2, column 11: unknown type \"gauge\""),
        ("# HELP 9 x", "line 2, column 8: expected the name of a family"),
        ("# HELP a-b x", "line 2, column 9: expected a space before the text, found '-'"),
        ("up 1 #", "line 2, column 7: expected a space before the labels of an exemplar, found the end of the line"),
        ("up 1 # 2", "line 2, column 8: expected \"{\", found '2'"),
        (
            "up 1 # {a=\"b\"}",
            "line 2, column 15: expected a space before the value of an exemplar, found the end of the line",
        ),
        ("up 1 # {a=\"b\",a=\"c\"} 1", "line 2, column 8: duplicate label name \"a\" in exemplar"),
        ("up 1 # {\"a\"} 1", "line 2, column 12: expected \"=\", found '}'"),
        ("up 1 # {} 1 2 3", "line 2, column 15: text behind the sample"),
    ] {
        check(OpenMetrics, &format!("ok 1\n{line}\nok 2\n# EOF\n"), &["ok 1 None", refused]);
    }
    let long = format!("up 1 # {{a=\"{}\"}} 1\n", "x".repeat(128));
    check(OpenMetrics, &long, &["line 1, column 8: exemplar labels have more than 128 characters"]);
    check(Prometheus, "up 1 1.5\n", &["line 1, column 6: expected a time in milliseconds, found \"1.5\""]);
    check(Prometheus, "up 1 # {} 1\n", &["line 1, column 6: expected a time in milliseconds, found \"#\""]);
}

#[test]
fn an_open_metrics_text_says_where_it_ends() {
    check(OpenMetrics, "up 1\n", &["up 1 None", "line 1, column 1: the text ends without # EOF"]);
    check(OpenMetrics, "", &["line 1, column 1: the text ends without # EOF"]);
    check(OpenMetrics, "# EOF\n\n", &["line 2, column 1: text behind # EOF"]);
    check(OpenMetrics, "# EOF\nup 1\n", &["line 2, column 1: text behind # EOF"]);
    check(OpenMetrics, "# EOF", &[]);
    check(Prometheus, "", &[]);
    // After the end, and after having said that there is none, nothing comes.
    let mut reader = ExpositionReader::new(&b"up 1\n"[..], OpenMetrics);
    assert!(reader.next_entry().unwrap().is_some());
    assert!(reader.next_entry().is_err());
    assert!(reader.next_entry().unwrap().is_none());
}

#[test]
fn labels_are_held_against_the_rules_of_every_series() {
    for (series, expected) in [
        (r#"up{a=""}"#, "up 1 None"),
        (r#"up{b="2",a="1",}"#, r#"up{a="1", b="2"} 1 None"#),
        (r#"up{"a b"="\\x\n\"\t"}"#, r#"up{"a b"="\\x\n\"\\t"} 1 None"#),
        (r#"a:b:c"#, "a:b:c 1 None"),
        (r#"{a="b","x y"}"#, r#"{__name__="x y", a="b"} 1 None"#),
        (r#"up{a="1",a="2"}"#, r#"duplicate label name "a" in series {__name__="up", a="1", a="2"} 1 None"#),
        (r#"up{__name__="x"}"#, r#"duplicate label name "__name__" in series {__name__="up", __name__="x"} 1 None"#),
        (r#"{__name__="x"}"#, "x 1 None"),
        (r#"{__name__=""}"#, r#"no metric name in series {__name__=""} 1 None"#),
    ] {
        check(OpenMetrics, &format!("{series} 1\n# EOF"), &[expected]);
    }
    let refused = read(OpenMetrics, b"up{a=\"h\xc3\xa9\xff\"} 1\n");
    assert_eq!(refused, ["line 1, column 9: bytes that are not UTF-8"]);
}

#[test]
fn a_line_is_bounded() {
    let text = format!("up{{a=\"{}\"}} 1\n# EOF\n", "x".repeat(1 << 20));
    check(OpenMetrics, &text, &["line 1, column 1: a line of more than 1048576 bytes"]);
    let longest = format!("# HELP a {}\n# EOF\n", "x".repeat((1 << 20) - 9));
    assert_eq!(read(OpenMetrics, longest.as_bytes()).len(), 1);
}

#[test]
fn what_the_encoder_writes_reads_back() {
    let series = [
        Labels::from_pairs([("__name__", "up")]),
        Labels::from_pairs([("__name__", "a:b"), ("job", "x\\y\n\"z\""), ("le", "0.5")]),
        Labels::from_pairs([("__name__", "dot.ted"), ("sp ace", "h\u{e9}")]),
        Labels::from_pairs([("__name__", "9")]),
    ];
    let values =
        [0.0, -0.0, 1.5, 1e300, 5e-324, f64::INFINITY, f64::NEG_INFINITY, f64::from_bits(0x7ff8_0000_0000_0001)];
    let times = [0, 1, -1, 1_520_879_607_789, i64::MAX, i64::MIN];
    let exemplar = Exemplar { labels: Labels::from_pairs([("trace_id", "a\"b"), ("x y", "c")]), t: 5, v: 0.25 };
    let metadata = Metadata { kind: MetricKind::StateSet, help: "One \\ \"two\"\nthree".into(), unit: "bytes".into() };
    let mut text = Vec::new();
    push_family("a:b", &metadata, &mut text);
    push_family("dot.ted", &Metadata::default(), &mut text);
    let mut sent = Vec::new();
    for labels in &series {
        let mut prefix = Vec::new();
        encode_series(labels, &mut prefix);
        for (v, t) in values.into_iter().zip(times.into_iter().cycle()) {
            let exemplar = (v == 1.5).then_some(&exemplar);
            push_sample(&prefix, Sample { t, v }, exemplar, &mut text);
            sent.push((labels, t, v.to_bits(), exemplar));
        }
    }
    push_eof(&mut text);
    let mut reader = ExpositionReader::new(&*text, OpenMetrics);
    let mut descriptions = Vec::new();
    for _ in 0..4 {
        descriptions.push(match reader.next_entry().unwrap().unwrap() {
            Entry::Kind { family, kind } => format!("{family} {kind:?}"),
            Entry::Unit { family, unit } => format!("{family} {unit}"),
            Entry::Help { family, help } => format!("{family} {help}"),
            Entry::Sample(sample) => panic!("{sample:?}"),
        });
    }
    assert_eq!(descriptions, ["a:b StateSet", "a:b bytes", "a:b One \\ \"two\"\nthree", "dot.ted Unknown"]);
    let mut builder = LabelsBuilder::default();
    for (labels, t, bits, exemplar) in sent {
        let Some(Entry::Sample(sample)) = reader.next_entry().unwrap() else { panic!("a sample of {labels}") };
        sample.labels(&LabelLimits::default(), &mut builder).unwrap();
        assert_eq!((&builder.build(), sample.t, sample.v.to_bits()), (labels, Some(t), bits));
        assert_eq!(sample.exemplar.as_ref(), exemplar);
    }
    assert!(reader.next_entry().unwrap().is_none());
}
