#include "analysis/render/chart/page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "analysis/render/text/escape.h"

namespace flopcast {
namespace {

std::string table_html(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows,
                       const std::vector<Align>& align) {
  // Numbers stay on one line, a number with its range need not; a long text is not squeezed into a tall column.
  constexpr std::size_t kLongNumber = 18, kLongText = 60;
  const auto cells = [&](const std::vector<std::string>& row, const char* tag) {
    std::string out = "<tr>";
    for (std::size_t i = 0; i < row.size(); ++i) {
      const bool right = i < align.size() && align[i] == Align::right;
      const bool longer = row[i].size() > (right ? kLongNumber : kLongText);
      const char* const kind = right    ? (longer ? " class=\"r long\"" : " class=\"r\"")
                               : longer ? " class=\"long\""
                                        : "";
      out += fmt::format("<{0}{1}>{2}</{0}>", tag, kind, html_escaped(row[i]));
    }
    return out + "</tr>\n";
  };
  // Can be scrolled by keyboard where it is wider than the page.
  std::string out = "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"table\"><table>\n<thead>" +
                    cells(header, "th") + "</thead><tbody>\n";
  for (const auto& row : rows) out += cells(row, "td");
  return out + "</tbody></table></div>\n";
}

/// With a capital, where the first word is a plain one: names of scenarios and kernels stay as they are.
std::string sentence(std::string text) {
  const std::string first = text.substr(0, text.find_first_of(" :,"));
  const bool plain =
      !first.empty() && std::all_of(first.begin(), first.end(), [](unsigned char c) { return c >= 'a' && c <= 'z'; });
  if (plain) text.front() = static_cast<char>(std::toupper(static_cast<unsigned char>(text.front())));
  return text;
}

std::string folded(const std::string& title, const DataTable& table) {
  return fmt::format("<details><summary>{}</summary>\n{}</details>\n", html_escaped(title),
                     table_html(table.header, table.rows, table.align));
}

}  // namespace

void Page::lead(const std::string& text) { body_ += "<p class=\"lead\">" + html_escaped(text) + "</p>\n"; }
void Page::headline(const std::string& text) {
  body_ += "<p class=\"headline\">" + html_escaped(sentence(text)) + "</p>\n";
}
void Page::heading(const std::string& text) { body_ += "<h2>" + html_escaped(sentence(text)) + "</h2>\n"; }
void Page::paragraph(const std::string& text) { body_ += "<p>" + html_escaped(text) + "</p>\n"; }
void Page::note(const std::string& text) { body_ += "<p class=\"note\">" + html_escaped(text) + "</p>\n"; }

void Page::key_figures(const std::vector<KeyFigure>& figures) {
  if (figures.empty()) return;
  body_ += "<dl class=\"figures\">\n";
  for (const KeyFigure& figure : figures) {
    body_ += fmt::format("<div><dt>{}</dt><dd>{}</dd>{}</div>\n", html_escaped(figure.name), html_escaped(figure.value),
                         figure.remark.empty() ? "" : "<dd class=\"note\">" + html_escaped(figure.remark) + "</dd>");
  }
  body_ += "</dl>\n";
}

void Page::list(const std::vector<std::string>& items) {
  if (items.empty()) return;
  body_ += "<ul>\n";
  for (const std::string& item : items) body_ += "<li>" + html_escaped(item) + "</li>\n";
  body_ += "</ul>\n";
}

void Page::own_figure(const std::string& caption, const std::string& svg) {
  body_ += fmt::format("<figure><figcaption>{}</figcaption>\n{}</figure>\n", html_escaped(caption), svg);
}

void Page::figure(const Drawing& figure) {
  if (figure.svg.empty() && figure.after.empty()) return;
  const int id = ++figures_;
  body_ += fmt::format("<figure><figcaption><strong id=\"f{}\">{}</strong>{}</figcaption>\n", id,
                       html_escaped(sentence(figure.title)),
                       figure.caption.empty() ? "" : " " + html_escaped(figure.caption));
  body_ += figure.key;
  if (!figure.svg.empty()) {
    body_ += fmt::format(
        "<svg class=\"chart\"{0} role=\"img\" aria-labelledby=\"f{1}\" aria-describedby=\"d{1}\" "
        "style=\"--l:{2:.0f}px;--r:{3:.0f}px;--s:{4:.0f}px\" height=\"{5:.0f}\">\n"
        "<title>{6}</title><desc id=\"d{1}\">{7}</desc>\n{8}</svg>\n",
        figure.id.empty() ? "" : fmt::format(" id=\"{}\"", html_escaped(figure.id)), id, figure.left, figure.right,
        figure.right_narrow, figure.height, html_escaped(sentence(figure.title)), html_escaped(figure.description),
        figure.svg);
  }
  body_ += figure.after;
  if (!figure.table.rows.empty()) body_ += folded("The numbers of this picture", figure.table);
  body_ += "</figure>\n";
}

void Page::table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows,
                 const std::vector<Align>& align) {
  body_ += table_html(header, rows, align);
}

void Page::folded_table(const std::string& title, const DataTable& table) { body_ += folded(title, table); }

std::string Page::str() const {
  // The policy forbids what a self-contained page never does, should text ever get past the escaping.
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
      "script-src 'unsafe-inline'; img-src data:\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{0}</title>\n"
      "<style>{1}</style>\n"
      "</head>\n<body>\n<main>\n<h1>{0}</h1>\n{2}</main>\n{3}</body>\n</html>\n",
      html_escaped(title_), page_style(), body_,
      viewer_ ? fmt::format("<script>{}</script>\n", viewer_script()) : std::string());
}

}  // namespace flopcast
