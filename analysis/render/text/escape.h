// The one place where text becomes HTML or script: names come from users, and none of them may change a page.
#pragma once
#include <string>
#include <string_view>

namespace flopcast {

/// With &, <, > and both quotes as entities: safe as text and in a quoted attribute.
std::string html_escaped(std::string_view text);

/// A JSON string with its quotes, safe inside a <script> too: <, > and & are written as \u003c and so on.
std::string script_quoted(std::string_view text);

/// Bytes as base64 text (RFC 4648).
std::string base64(std::string_view bytes);

}  // namespace flopcast
