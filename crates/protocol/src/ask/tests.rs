use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    json::Raw,
    revision::Revision::{V2024_11_05, V2025_06_18, V2025_11_25, V2026_07_28},
};

fn question(kind: QuestionKind, params: Value) -> Question {
    Question {
        key: "k".into(),
        kind,
        params: Raw::from_value(&params),
    }
}

fn form() -> Value {
    json!({
        "message": "m",
        "requestedSchema": {
            "type": "object",
            "properties": { "name": { "type": "string" }, "age": { "type": "integer" } },
            "required": ["name"],
        },
    })
}

fn url(url: &str) -> Value {
    json!({ "mode": "url", "message": "m", "url": url })
}

fn text(role: &str, text: &str) -> Value {
    json!({ "role": role, "content": { "type": "text", "text": text } })
}

fn sample() -> Value {
    json!({ "messages": [text("user", "hi")], "maxTokens": 10 })
}

fn with(mut params: Value, name: &str, value: Value) -> Value {
    params[name] = value;
    params
}

mod gating {
    use super::*;

    fn check(kind: QuestionKind, params: Value, revision: Revision, needs: &[Capability]) {
        let question = question(kind, params);
        assert_eq!(gate(revision, &ClientFacet::with(needs), &question), Ok(()));
        for left_out in needs {
            let rest: Vec<_> = needs.iter().copied().filter(|c| c != left_out).collect();
            let facet = ClientFacet::with(&rest);
            assert_eq!(gate(revision, &facet, &question), Err(*left_out));
        }
    }

    #[test]
    fn a_question_needs_exactly_its_capabilities() {
        use Capability::*;
        for revision in [V2025_11_25, V2026_07_28] {
            check(QuestionKind::ElicitForm, form(), revision, &[ElicitForm]);
            check(
                QuestionKind::ElicitUrl,
                url("https://x.example"),
                revision,
                &[ElicitUrl],
            );
            check(QuestionKind::Roots, json!({}), revision, &[Roots]);
            check(QuestionKind::Sample, sample(), revision, &[Sample]);
            let tools = with(sample(), "tools", json!([]));
            check(
                QuestionKind::Sample,
                tools,
                revision,
                &[Sample, SampleTools],
            );
            let choice = with(sample(), "toolChoice", json!({}));
            check(
                QuestionKind::Sample,
                choice,
                revision,
                &[Sample, SampleTools],
            );
            let none = with(sample(), "includeContext", json!("none"));
            check(QuestionKind::Sample, none, revision, &[Sample]);
            let context = with(sample(), "includeContext", json!("thisServer"));
            check(
                QuestionKind::Sample,
                context,
                revision,
                &[Sample, SampleContext],
            );
        }
    }

    #[test]
    fn messages_about_tools_need_a_client_with_tools() {
        use Capability::*;
        let asks = json!({ "type": "tool_use", "id": "a", "name": "t", "input": {} });
        let messages = json!([{ "role": "assistant", "content": [asks] }]);
        let about = with(sample(), "messages", messages);
        check(
            QuestionKind::Sample,
            about,
            V2025_11_25,
            &[Sample, SampleTools],
        );
        // As workers may write it, who are no friends of this check.
        let params = r#"{"messages":[{"role":"assistant","content":{"type":"tool\u005fuse"}}]}"#;
        let question = Question {
            params: Raw::parse(params.into(), 8).expect("JSON"),
            ..question(QuestionKind::Sample, json!({}))
        };
        let refused = gate(V2025_11_25, &ClientFacet::with(&[Sample]), &question);
        assert_eq!(refused, Err(SampleTools));
        let quoting = with(sample(), "messages", json!([text("user", "tool_use")]));
        check(QuestionKind::Sample, quoting, V2025_11_25, &[Sample]);
    }

    #[test]
    fn a_revision_without_the_feature_refuses_whatever_was_declared() {
        use Capability::*;
        let all = ClientFacet::with(&[ElicitForm, ElicitUrl, Sample, SampleTools, Roots]);
        let check = |revision, kind, params, expected| {
            assert_eq!(gate(revision, &all, &question(kind, params)), expected);
        };
        check(
            V2024_11_05,
            QuestionKind::ElicitForm,
            form(),
            Err(ElicitForm),
        );
        check(V2025_06_18, QuestionKind::ElicitForm, form(), Ok(()));
        let sign_in = || url("https://x.example");
        check(
            V2025_06_18,
            QuestionKind::ElicitUrl,
            sign_in(),
            Err(ElicitUrl),
        );
        let tools = || with(sample(), "tools", json!([]));
        check(V2025_06_18, QuestionKind::Sample, tools(), Err(SampleTools));
        let context = with(sample(), "includeContext", json!("allServers"));
        check(V2025_06_18, QuestionKind::Sample, context, Ok(()));
    }
}

mod questions {
    use super::*;

    fn check(kind: QuestionKind, params: Value, expected: &str) {
        let found = check_question(&question(kind, params.clone()));
        let reason = found.err().unwrap_or_default();
        assert_eq!(reason, expected, "{params}");
    }

    #[test]
    fn good_questions_pass() {
        check(QuestionKind::ElicitForm, form(), "");
        check(QuestionKind::ElicitUrl, url("https://x.example/a?b"), "");
        check(QuestionKind::Sample, sample(), "");
        check(QuestionKind::Roots, json!({}), "");
    }

    #[test]
    fn a_key_has_a_bounded_length() {
        for (length, is_good) in [(0, false), (1, true), (256, true), (257, false)] {
            let key = "k".repeat(length);
            let question = Question {
                key,
                ..question(QuestionKind::Roots, json!({}))
            };
            assert_eq!(check_question(&question).is_ok(), is_good, "{length}");
        }
    }

    #[test]
    fn bad_elicitations_are_refused() {
        let kind = QuestionKind::ElicitForm;
        check(kind, json!([]), "the params must be an object");
        check(kind, json!({}), "`message` must be a string");
        check(
            kind,
            json!({ "message": "m" }),
            "`requestedSchema` must be an object",
        );
    }

    #[test]
    fn nothing_is_hidden_from_whoever_is_asked() {
        let kind = QuestionKind::ElicitForm;
        let long = "m".repeat(20 << 10);
        let reason = "`message` is longer than 16384 bytes";
        check(kind, with(form(), "message", json!(long)), reason);
        let reason = "`message` holds the character U+202E";
        let hidden = json!("a\u{202E}b");
        check(kind, with(form(), "message", hidden.clone()), reason);
        let visit = with(url("https://x.example"), "message", hidden.clone());
        check(QuestionKind::ElicitUrl, visit, reason);
        let reason = "`requestedSchema`: holds the character U+202E";
        let mut titled = form();
        titled["requestedSchema"]["properties"]["name"]["title"] = hidden;
        check(
            kind,
            titled,
            "`requestedSchema`: title holds the character U+202E",
        );
        let mut named = form();
        named["requestedSchema"]["properties"] =
            json!({ "name": {"type": "string"}, "\u{202E}": {"type": "string"} });
        check(kind, named, reason);
        let sampled = with(sample(), "messages", json!([text("user", "\u{1b}[31m")]));
        check(QuestionKind::Sample, sampled, "");
    }

    /// [SP-4]
    #[test]
    fn only_safe_web_addresses_can_be_opened() {
        let kind = QuestionKind::ElicitUrl;
        for good in [
            "https://x.example",
            "https://x.example:8443/a?b=c#d",
            "https://xn--bcher-kva.example/",
            "https://[2001:db8::1]/",
            "http://localhost:3000/",
            "http://127.0.0.1/a",
            "http://[::1]:80",
        ] {
            check(kind, url(good), "");
        }
        let not_https = "`url` must be an absolute https URL";
        let foreign = "`url` must have no characters but those of RFC 3986; encode them";
        let no_host = "`url` must name a host";
        let credentials = "`url` must not carry credentials";
        let insecure = "`url` must be https, except on this machine";
        let long = format!("https://x.example/{}", "a".repeat(4 << 10));
        for (bad, reason) in [
            ("", not_https),
            ("x", not_https),
            ("javascript:alert(1)", not_https),
            ("file:///etc/passwd", not_https),
            ("HTTPS://x.example", not_https),
            ("https://", no_host),
            ("https:///path", no_host),
            ("https://:443", no_host),
            ("https://[::1", no_host),
            ("https://x.example:port", no_host),
            ("https://x.example:443:1", no_host),
            ("https://a%2eb", no_host),
            ("https://a b", foreign),
            ("https://a\nb", foreign),
            ("https://a\u{7f}", foreign),
            ("https://bücher.example", foreign),
            ("https://evil.example\\@good.example", foreign),
            ("https://x.example/\"onclick=", foreign),
            ("https://x.example/<b>", foreign),
            ("https://x.example/`id`", foreign),
            ("https://x.example/{a|b}^", foreign),
            ("https://user:secret@x.example", credentials),
            ("https://good.example@evil.example/", credentials),
            ("http://x.example", insecure),
            ("http://localhost.evil.example", insecure),
            ("http://127.0.0.1.evil.example", insecure),
            (&long, "`url` is longer than 4096 bytes"),
        ] {
            check(kind, url(bad), reason);
        }
    }

    #[test]
    fn bad_sampling_is_refused() {
        let kind = QuestionKind::Sample;
        let tokens = "`maxTokens` must be a positive integer";
        check(kind, json!({ "messages": [] }), tokens);
        check(kind, json!({ "messages": [], "maxTokens": 0 }), tokens);
        check(
            kind,
            json!({ "maxTokens": 1 }),
            "`messages` must be an array",
        );
        let system = with(sample(), "messages", json!([text("system", "x")]));
        check(
            kind,
            system,
            "messages[0]: `role` must be \"user\" or \"assistant\"",
        );
        let tools = "`tools` must be an array of {name, inputSchema}";
        check(kind, with(sample(), "tools", json!({})), tools);
        check(
            kind,
            with(sample(), "tools", json!([{ "name": "t" }])),
            tools,
        );
        let mode = "`toolChoice.mode` must be auto, required or none";
        check(
            kind,
            with(sample(), "toolChoice", json!({ "mode": "any" })),
            mode,
        );
        check(kind, with(sample(), "toolChoice", json!("auto")), mode);
        let context = with(sample(), "includeContext", json!("all"));
        check(
            kind,
            context,
            "`includeContext` must be none, thisServer or allServers",
        );
    }

    #[test]
    fn only_the_assistant_uses_tools_and_only_the_user_gives_results() {
        let run = |role: &str, block: Value, expected: &str| {
            let messages = json!([{ "role": role, "content": [block] }]);
            check(
                QuestionKind::Sample,
                with(sample(), "messages", messages),
                expected,
            );
        };
        let asks = json!({ "type": "tool_use", "id": "a", "name": "t", "input": {} });
        run(
            "user",
            asks.clone(),
            "messages[0]: only the assistant uses tools",
        );
        let input = "messages[0]: `input` of a tool_use must be an object";
        run("assistant", with(asks, "input", json!(null)), input);
        let gives = json!({ "type": "tool_result", "toolUseId": "a", "content": [] });
        run(
            "assistant",
            gives.clone(),
            "messages[0]: only the user gives tool results",
        );
        let content = "messages[0]: `content` of a tool_result must be an array";
        run("user", with(gives, "content", json!("x")), content);
    }

    #[test]
    fn each_tool_use_is_answered_by_the_next_message() {
        let asks = json!({ "role": "assistant", "content": [
            { "type": "text", "text": "let me see" },
            { "type": "tool_use", "id": "a", "name": "t", "input": {} },
            { "type": "tool_use", "id": "b", "name": "t", "input": {} },
        ]});
        let answer = |ids: &[&str]| {
            let block = |id| json!({ "type": "tool_result", "toolUseId": id, "content": [] });
            let blocks: Vec<_> = ids.iter().map(block).collect();
            json!({ "role": "user", "content": blocks })
        };
        let run = |messages: Value, expected: &str| {
            check(
                QuestionKind::Sample,
                with(sample(), "messages", messages),
                expected,
            );
        };
        run(json!([asks, answer(&["b", "a"])]), "");
        let must = "messages[1]: must answer each tool_use of the message before, and only those";
        run(json!([asks, answer(&["a"])]), must);
        run(json!([asks, answer(&["a", "b", "c"])]), must);
        run(json!([asks, text("user", "hm")]), must);
        run(json!([asks]), "the last tool_use is not answered");
        let mut mixed = answer(&["a", "b"]);
        let blocks = mixed["content"].as_array_mut().unwrap();
        blocks.push(json!({ "type": "text", "text": "x" }));
        run(
            json!([asks, mixed]),
            "messages[1]: tool_results stand alone",
        );
    }
}

mod answers {
    use super::*;

    fn check(question: &Question, answer: Value, expected: &str) {
        let found = check_answer(question, &Raw::from_value(&answer));
        assert_eq!(found.err().unwrap_or_default(), expected, "{answer}");
    }

    #[test]
    fn an_accepted_form_fits_its_schema() {
        let question = question(QuestionKind::ElicitForm, form());
        let accept = |content: Value| json!({ "action": "accept", "content": content });
        check(&question, accept(json!({ "name": "Ann", "age": 42 })), "");
        check(
            &question,
            accept(json!({ "name": "Ann", "extra": [1] })),
            "",
        );
        check(&question, accept(json!({})), "field `name` is missing");
        check(
            &question,
            json!({ "action": "accept" }),
            "field `name` is missing",
        );
        check(&question, accept(json!([])), "`content` must be an object");
        let wrong = accept(json!({ "name": "Ann", "age": 1.5 }));
        check(&question, wrong, "field `age` must be an integer");
    }

    #[test]
    fn declining_and_cancelling_are_answers_without_content() {
        for (kind, params) in [
            (QuestionKind::ElicitForm, form()),
            (QuestionKind::ElicitUrl, url("https://x.example")),
        ] {
            let question = question(kind, params);
            for action in ["decline", "cancel"] {
                check(&question, json!({ "action": action }), "");
                check(&question, json!({ "action": action, "content": null }), "");
                check(&question, json!({ "action": action, "content": {} }), "");
                let answer = json!({ "action": action, "content": { "a": 1 } });
                check(&question, answer, "`content` is only for an accepted form");
            }
            let reason = "`action` must be accept, decline or cancel";
            check(&question, json!({ "action": "ok" }), reason);
            check(&question, json!({}), reason);
        }
    }

    #[test]
    fn consent_to_a_url_carries_no_content() {
        let question = question(QuestionKind::ElicitUrl, url("https://x.example"));
        check(&question, json!({ "action": "accept" }), "");
        let answer = json!({ "action": "accept", "content": { "token": "x" } });
        check(&question, answer, "`content` is only for an accepted form");
    }

    #[test]
    fn a_sample_has_a_role_a_model_and_content() {
        let question = question(QuestionKind::Sample, sample());
        let mut good = text("assistant", "x");
        check(&question, good.clone(), "`model` must be a string");
        good["model"] = json!("m");
        check(&question, good.clone(), "");
        let blocks = json!([{ "type": "text", "text": "a" }, { "type": "image", "data": "", "mimeType": "" }]);
        check(&question, with(good.clone(), "content", blocks), "");
        let video = with(good, "content", json!({ "type": "video" }));
        check(
            &question,
            video,
            "`content` must be text, image, audio, tool_use or tool_result",
        );
    }

    /// [SP-1]
    #[test]
    fn an_answer_uses_tools_only_if_some_were_offered() {
        let block = |kind: &str| match kind {
            "tool_use" => json!({ "type": kind, "id": "a", "name": "t", "input": {} }),
            _ => json!({ "type": kind, "toolUseId": "a", "content": [] }),
        };
        let answer =
            |role: &str, kind| json!({ "role": role, "model": "m", "content": [block(kind)] });
        let tools = json!([{ "name": "t", "inputSchema": {} }]);
        let offering = question(QuestionKind::Sample, with(sample(), "tools", tools));
        check(&offering, answer("assistant", "tool_use"), "");
        check(
            &offering,
            answer("user", "tool_result"),
            "an answer has no tool_result",
        );
        let plain = question(QuestionKind::Sample, sample());
        check(
            &plain,
            answer("assistant", "tool_use"),
            "no tools were offered",
        );
    }

    #[test]
    fn roots_are_files() {
        let question = question(QuestionKind::Roots, json!({}));
        let root = |uri: &str| json!({ "roots": [{ "uri": uri, "name": "n" }] });
        check(&question, root("file:///home"), "");
        check(&question, json!({ "roots": [] }), "");
        check(
            &question,
            root("https://x"),
            "roots[0]: `uri` must begin with file://",
        );
        check(&question, json!({}), "`roots` must be an array");
        check(
            &question,
            json!({ "roots": [5] }),
            "roots[0]: `uri` must begin with file://",
        );
    }

    #[test]
    fn what_is_no_object_answers_nothing() {
        for (kind, params) in [
            (QuestionKind::ElicitForm, form()),
            (QuestionKind::Sample, sample()),
            (QuestionKind::Roots, json!({})),
        ] {
            let question = question(kind, params);
            for junk in [json!(12345), json!(null), json!("x"), json!([])] {
                check(&question, junk, "the answer must be an object");
            }
        }
    }

    proptest! {
        #[test]
        fn no_answer_makes_the_check_panic(text in "[\\[\\]{}\",:a-z0-9 ]{0,60}", at in 0usize..4) {
            let questions = [
                question(QuestionKind::ElicitForm, form()),
                question(QuestionKind::ElicitUrl, url("https://x.example")),
                question(QuestionKind::Sample, sample()),
                question(QuestionKind::Roots, json!({})),
            ];
            if let Ok(raw) = Raw::parse(text.into(), 64) {
                let _ = check_answer(&questions[at], &raw);
                let asked = Question { params: raw, ..questions[at].clone() };
                let _ = check_question(&asked);
                let _ = gate(V2025_06_18, &ClientFacet::default(), &asked);
                let _ = to_request(V2025_11_25, "s", String::new, &asked);
                let _ = to_request(V2025_06_18, "s", String::new, &asked);
            }
        }
    }
}
