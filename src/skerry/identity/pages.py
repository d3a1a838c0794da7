"""The two pages that a browser shows: entering a device code, and what came of it. Plain HTML, no script."""

from html import escape

# Nothing may be loaded, framed or sent elsewhere: RFC 8628 section 5.4 (the page is what a phisher would copy).
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · Skerry</title>
<style>
:root {{ color-scheme: light dark; --line: #8a94a0; --ink: #12283a; --paper: #f4f6f8; --card: #fff; --bad: #a4161a; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e6edf3; --paper: #0d1722; --card: #16222f; --bad: #ff8a8a; }} }}
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }}
main {{ width: min(24rem, 90vw); padding: 2rem; background: var(--card); border-radius: .75rem;
  box-shadow: 0 1px 6px #0003; }}
h1 {{ font-size: 1.25rem; margin: 0 0 .75rem; }}
label {{ display: block; margin: .9rem 0 .2rem; font-weight: 600; }}
input {{ box-sizing: border-box; width: 100%; padding: .55rem .7rem; font: inherit; color: inherit;
  background: transparent; border: 1px solid var(--line); border-radius: .4rem; }}
input[name=user_code] {{ font-family: ui-monospace, monospace; letter-spacing: .15em; text-transform: uppercase; }}
button {{ margin-top: 1.4rem; width: 100%; padding: .65rem; font: inherit; font-weight: 600; color: #fff;
  background: #1b5e8a; border: 0; border-radius: .4rem; cursor: pointer; }}
input:focus-visible, button:focus-visible {{ outline: 3px solid #4da3d4; outline-offset: 1px; }}
.error {{ color: var(--bad); font-weight: 600; }}
small, code {{ overflow-wrap: anywhere; }}
</style></head><body><main>
<h1>{title}</h1>
{body}
</main></body></html>
"""

_FORM = """{error}<p>Enter the code that your terminal shows, and only if you started that login yourself.</p>
<form method="post" autocomplete="off">
<label for="user_code">Code</label>
<input id="user_code" name="user_code" value="{code}" placeholder="XXXX-XXXX" maxlength="16" required {focus_code}>
<label for="username">User name</label>
<input id="username" name="username" value="{user}" autocomplete="username" required>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required {focus_password}>
<button>Log in</button>
</form>
<p><small>The password is in <code>keys/account.json</code> of the folder that Skerry keeps its state in.</small></p>"""


def device_form(code: str, user: str, error: str = "") -> str:
    """The form; `error` says why the last try failed."""
    body = _FORM.format(
        code=escape(code),
        user=escape(user),
        error=f'<p class="error" role="alert">{escape(error)}</p>' if error else "",
        focus_code="" if code else "autofocus",
        focus_password="autofocus" if code else "",
    )
    return _PAGE.format(title="Log in to Skerry", body=body)


def message(title: str, text: str) -> str:
    """A page with nothing but a message."""
    return _PAGE.format(title=escape(title), body=f"<p>{escape(text)}</p>")
