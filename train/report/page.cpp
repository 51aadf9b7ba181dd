#include "train/report/page.h"

#include <fmt/format.h>

#include "train/chart.h"
#include "train/report/sections.h"
#include "train/report/svg.h"

namespace osprey {
namespace {

constexpr const char* kStyle = R"(
body { font-family: sans-serif; color: #222; background: #f4f5f7; margin: 0; }
main { max-width: 1100px; margin: 0 auto; padding: 24px; }
section, header { background: white; border: 1px solid #dde0e4; border-radius: 6px; padding: 16px 24px;
  margin-bottom: 20px; overflow-x: auto; }
h1 { font-size: 24px; margin: 0 0 8px; } h2 { font-size: 18px; margin: 0 0 4px; }
p { color: #555; margin: 4px 0 12px; line-height: 1.4; }
dl { display: grid; grid-template-columns: max-content auto; gap: 2px 16px; margin: 0; }
dt { color: #666; } dd { margin: 0; }
table { border-collapse: collapse; } td, th { padding: 3px 10px; text-align: right; }
th { border-bottom: 1px solid #ccc; font-weight: 600; } td:first-child, th:first-child { text-align: left; }
.figures { display: flex; flex-wrap: wrap; gap: 12px; margin-top: 14px; }
.figures div { background: #eef2f7; border-radius: 6px; padding: 8px 14px; }
.figures b { display: block; font-size: 22px; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(320px, 1fr)); gap: 16px; }
.pictures figure { margin: 0; } .pictures svg { width: 100%; height: auto; }
figcaption { font-size: 13px; color: #555; overflow-wrap: anywhere; }
.warnings li { margin: 4px 0; } svg { max-width: 100%; height: auto; }
)";

std::string key_figures(const RunReport& r) {
  std::string out = r.findings.figures;
  if (!r.history.empty()) {
    out += figure(fmt::format("{} of {}", r.history.back().iteration, r.max_batches), "iterations");
    out += figure(fmt::format("{:.4g}", r.history.back().average_loss), "average loss");
  }
  return out.empty() ? "" : "<div class=\"figures\">\n" + out + "</div>\n";
}

std::string head(const RunReport& r) {
  std::string out = "<header>\n<h1>" + escaped(r.title) + "</h1>\n<dl>\n";
  for (const auto& [name, value] : r.facts)
    out += "<dt>" + escaped(name) + "</dt><dd>" + escaped(value) + "</dd>\n";
  return out + "</dl>\n" + key_figures(r) + "</header>\n";
}

std::string warnings_section(const RunReport& r) {
  if (r.warnings.empty()) return "";
  std::string list = "<ul class=\"warnings\">\n";
  for (const std::string& warning : r.warnings) list += "<li>" + escaped(warning) + "</li>\n";
  return section_of("What to look at first", "", list + "</ul>\n");
}

std::string curves_section(const RunReport& r) {
  if (r.history.empty()) return "";
  return section_of("Curves",
                    "The loss on the training images, averaged over about ten iterations, and " +
                        r.score_name +
                        " on the "
                        "validation list where it was measured.",
                    chart_svg(r.title, r.history, r.max_batches, r.score_name));
}

}  // namespace

std::string section_of(const std::string& title, const std::string& explanation, const std::string& content) {
  const std::string words = explanation.empty() ? "" : "<p>" + escaped(explanation) + "</p>\n";
  return "<section>\n<h2>" + escaped(title) + "</h2>\n" + words + content + "</section>\n";
}

std::string percent_text(double fraction) {
  return fraction < 0 ? "-" : fmt::format("{:.1f}", 100 * fraction);
}

std::string figure(const std::string& value, const std::string& what) {
  return fmt::format("<div><b>{}</b>{}</div>\n", escaped(value), escaped(what));
}

std::string report_html(const RunReport& r, int refresh_seconds) {
  std::string out = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n";
  if (refresh_seconds) out += fmt::format("<meta http-equiv=\"refresh\" content=\"{}\"/>\n", refresh_seconds);
  out += "<title>" + escaped(r.title) + "</title>\n<style>" + kStyle + "</style>\n</head>\n<body>\n<main>\n";
  out += head(r) + warnings_section(r) + curves_section(r) + r.findings.sections + r.data_sections;
  return out + "</main>\n</body>\n</html>\n";
}

}  // namespace osprey
