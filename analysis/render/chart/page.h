// A report as one HTML file: text, tables and pictures, no network; light and dark as the reader's system is, by
// keyboard, on paper, from a phone to a wall.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "analysis/render/chart/chart.h"
#include "analysis/render/text/text_table.h"

namespace flopcast {

/// A figure that stands out at the head of a page.
struct KeyFigure {
  std::string name, value, remark;
};

class Page {
 public:
  explicit Page(std::string title) : title_(std::move(title)) {}

  void lead(const std::string& text);      ///< quiet lines below the title
  void headline(const std::string& text);  ///< what was found, in a sentence
  void key_figures(const std::vector<KeyFigure>& figures);
  void heading(const std::string& text);  ///< of a section
  void paragraph(const std::string& text);
  void note(const std::string& text);  ///< small print
  void list(const std::vector<std::string>& items);
  /// A figure without a picture is left out.
  void figure(const Drawing& figure);
  /// A picture that brings its own <svg> element. @param caption says what is to be seen.
  void own_figure(const std::string& caption, const std::string& svg);
  /// @param align one per column.
  void table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows,
             const std::vector<Align>& align);
  /// A table that opens when its title is pressed.
  void folded_table(const std::string& title, const DataTable& table);
  /// A timeline that is zoomed and pointed at (timeline_view.h): adds the script that shows it.
  void need_viewer() { viewer_ = true; }

  std::string str() const;

 private:
  std::string title_, body_;
  int figures_ = 0;
  bool viewer_ = false;
};

/// The style sheet of pages, with the palette's colours.
std::string page_style();
/// The script that shows timelines: it reads what stands in the page and nothing else.
std::string_view viewer_script();

}  // namespace flopcast
