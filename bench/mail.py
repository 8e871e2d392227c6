"""
How well mails are read: `python -m bench.mail FOLDER`, where FOLDER holds corpora of public mail
tests (`sisimai`, `flufl.bounce`, `discourse-email_reply_trimmer`, `stalwart-mail-parser`, …).

Prints which bounces are recognised, how replies are trimmed against what is expected, how far the
reading agrees with another reader's, and for every file whether it could be read and how long it
took. What differs is named, so that a person can judge who is right. A corpus that is not there is
left out.
"""

import argparse
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from channels.mail_charset import decoded
from channels.mail_limits import too_much
from channels.mail_reply import split_reply
from channels.mail_text import html_to_text, take_out_files
from channels.mime import Mail, read_mail

# A person's answer about a booking: "Not a bounce but has confused groupwise", say Mailman's own
# tests of that corpus (test_bounces.py).
_NO_BOUNCES = {"groupwise_03.txt"}
_BETWEEN = re.compile(r"^--\S+[ \t]*\n(?:content-[a-z-]+:[^\n]*\n(?:[ \t][^\n]*\n)*)*", re.I | re.M)
_NO_MAIL = {".json", ".py", ".md", ".png", ".jpg", ".gif"}


def folded(text: str) -> str:
    return " ".join(text.split())


def files_in(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in _NO_MAIL and "LICENSE" not in path.name
    )


def bounces(folder: Path, verbose: bool) -> None:
    corpora = {"sisimai/bsd": True, "flufl.bounce": True, "sisimai/not": False}
    known = of = 0
    for name, is_bounce in corpora.items():
        if not (folder / name).is_dir():
            continue
        read = {
            path: read_mail(path.read_bytes())
            for path in files_in(folder / name)
            if path.name not in _NO_BOUNCES
        }
        hit = [path for path, mail in read.items() if mail.bounce]
        print(f"  {name:14} {len(hit):4} of {len(read)} are bounces")
        if is_bounce:
            known, of = known + len(hit), of + len(read)
            addressed = sum(bool(mail.bounce and mail.bounce.recipients) for mail in read.values())
            kinds = Counter(mail.bounce.kind for mail in read.values() if mail.bounce)
            opening = [path.name for path, mail in read.items() if not mail.automatic]
            print(f"  {'':14} {addressed:4} say to whom; {dict(kinds)}")
            print(f"  {'':14} {len(opening):4} would open a case: {', '.join(opening) or 'none'}")
        if verbose:
            for path in hit if not is_bounce else sorted(set(read) - set(hit)):
                print(f"      {path.name}: {read[path].automatic}, {read[path].subject[:60]!r}")
    if of:
        print(f"  recognised: {known / of:.1%} of {of}")


def replies(folder: Path, verbose: bool) -> None:
    corpus = folder / "discourse-email_reply_trimmer"
    if not corpus.is_dir():
        return
    equal, lost = 0, []
    paths = sorted((corpus / "emails").iterdir())
    for path in paths:
        text = text_of(path)
        fresh, elided = split_reply(text)
        expected = text_of(corpus / "trimmed" / path.name)
        if folded(fresh) == folded(expected):
            equal += 1
            continue
        missing = Counter(expected.split()) - Counter(fresh.split())
        if missing:
            lost.append(path.name)
        print(f"      {path.name}: {'words missing' if missing else 'keeps more than expected'}")
        if verbose:
            print("\n".join(f"        | {line}" for line in fresh.splitlines()))
        kept = Counter(f"{fresh} {elided}".split())
        assert not Counter(text.split()) - kept, f"{path.name}: words in neither"
    print(f"  equal: {equal} of {len(paths)} ({equal / len(paths):.1%})")
    print(f"  of the others lose words: {', '.join(lost) or 'none'}")


def text_of(path: Path) -> str:
    text = decoded(path.read_bytes(), "utf-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def agreement(folder: Path, verbose: bool) -> None:
    corpus = folder / "stalwart-mail-parser" / "eml"
    if not corpus.is_dir():
        return
    fields: Counter[str] = Counter()
    whole = total = 0
    for path in sorted(corpus.rglob("*.eml")):
        told = json.loads(path.with_suffix(".json").read_text())
        mail = read_mail(path.read_bytes())
        differs = dict(differences(told, mail))
        total += 1
        whole += not differs
        fields.update(list(differs))
        for field, (theirs, ours) in differs.items():
            print(f"      {path.parent.name}/{path.name}: {field}")
            if verbose:
                print(f"        theirs {theirs[:150]!r}\n        ours   {ours[:150]!r}")
    print(f"  all four agree: {whole} of {total} ({whole / total:.1%})")
    for field in ("subject", "sender", "text", "attachment names"):
        print(f"  {field:17} {(total - fields[field]) / total:.1%}")
    print(f"  over all fields: {1 - sum(fields.values()) / (4 * total):.1%}")


def differences(told: Mapping[str, Any], mail: Mail) -> Iterator[tuple[str, tuple[str, str]]]:
    """
    What the other reader says otherwise. Where it could not read a letter (�), ours counts; so it
    does where it takes for words what parts the mail: files in uuencode, and the lines between
    parts that do not end.
    """
    root = told["parts"][0]
    subject = value_of(root, "subject").get("Text", "")
    if not same(subject[:254], mail.subject):
        yield "subject", (subject, mail.subject)
    listed = value_of(root, "from").get("Address", {})
    named = listed.get("List") or [
        one for group in listed.get("Group", []) for one in group["addresses"]
    ]
    theirs = (named[0]["name"] or "", named[0]["address"] or "") if named else ("", "")
    ours = (mail.sender.name, mail.sender.email) if mail.sender else ("", "")
    if "@" not in theirs[1]:
        theirs = (theirs[0] or theirs[1], "")  # an address that no mail can reach
    if not all(same(one, other) for one, other in zip(theirs, ours, strict=True)):
        yield "sender", (repr(theirs), repr(ours))
    bodies = [told["parts"][at]["body"] for at in told["text_body"]]
    text = "\n".join(
        body.get("Text") or html_to_text(body.get("Html", ""))
        for body in bodies
        if isinstance(body, dict)
    )
    text = words_in(text)
    # The other reader files some texts without a name away; to us they are words.
    aside = "\n".join(
        words_in(part["body"]["Text"])
        for at in told["attachments"]
        if isinstance((part := told["parts"][at])["body"], dict)
        and "Text" in part["body"]
        and not name_of(part)
    )
    if not same(text, mail.text) and not same(f"{text}\n{aside}", mail.text):
        yield "text", (text, mail.text)
    names = [name for at in told["attachments"] if (name := name_of(told["parts"][at]))]
    given = [one.name for one in mail.attachments]
    if not all(any(same(name, one) or name.endswith(one) for one in given) for name in names):
        yield "attachment names", (repr(names), repr(given))


def words_in(text: str) -> str:
    """A text without files in uuencode and without boundaries and the headers below them."""
    text, _files = take_out_files(text)
    return _BETWEEN.sub("", text)


def same(theirs: str, ours: str) -> bool:
    bare = re.sub(r"[\s\x00-\x1f]+", "", theirs)
    return bool(re.fullmatch(re.escape(bare).replace("�", ".{1,3}"), re.sub(r"\s+", "", ours)))


def value_of(part: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    values = [header["value"] for header in part["headers"] if header["name"] == name]
    return values[-1] if values and isinstance(values[-1], dict) else {}


def name_of(part: Mapping[str, Any]) -> str:
    for header, attribute in (("content_disposition", "filename"), ("content_type", "name")):
        kind = value_of(part, header).get("ContentType", {})
        for one in kind.get("attributes") or []:
            if one["name"] == attribute:
                return re.sub(r".*[/\\]", "", str(one["value"]))
    return ""


def every_file(folder: Path) -> None:
    took: list[tuple[float, Path]] = []
    ends: Counter[str] = Counter()
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        raw = path.read_bytes()
        started = time.perf_counter()
        try:
            if too_much(raw):
                ends["refused by the limits"] += 1
            mail = read_mail(raw)
        except Exception as error:
            print(f"      {path}: {type(error).__name__} {error}")
            ends["RAISED"] += 1
            continue
        finally:
            took.append((time.perf_counter() - started, path))
        ends["with problems" if mail.problems else "read"] += 1
        ends[f"automatic: {mail.automatic}"] += bool(mail.automatic)
    took.sort(reverse=True)
    seconds = sum(one for one, _ in took)
    print(f"  {len(took)} files in {seconds:.1f} s, {len(took) / seconds:.0f} a second on one core")
    print(f"  {dict(ends)}")
    for one, path in took[:5]:
        print(f"      {one * 1000:6.0f} ms  {path.relative_to(folder)} ({path.stat().st_size} B)")


def main() -> int:
    arguments = argparse.ArgumentParser(description="How well mails are read.")
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("-v", "--verbose", action="store_true")
    given = arguments.parse_args()
    for title, measure in (("Bounces", bounces), ("Replies", replies), ("Agreement", agreement)):
        print(title)
        measure(given.folder, given.verbose)
    print("Every file")
    every_file(given.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
