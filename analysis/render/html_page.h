// A report as one HTML file: text, tables and pictures, no network, no scripts; light and dark as the
// reader's system is, and on paper.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "analysis/render/text_table.h"

namespace flopcast {

class HtmlPage {
 public:
  explicit HtmlPage(std::string title) : title_(std::move(title)) {}

  void lead(const std::string& text);     ///< one line below the title
  void heading(const std::string& text);  ///< of a section
  void paragraph(const std::string& text);
  void note(const std::string& text);  ///< small print
  /// @param svg as charts.h draws it; the caption says what is to be seen.
  void figure(const std::string& caption, const std::string& svg);
  /// @param align one per column.
  void table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows,
             const std::vector<Align>& align);

  std::string str() const;

 private:
  std::string title_, body_;
};

/// With &, <, > and quotes as entities.
std::string html_escaped(std::string_view text);

}  // namespace flopcast
