// The HTML rendering: a page with a table of contents, sections, tables and inline figures. After
// svg.h. Pure functions.
// Always holds: the page has one <style>, no <script>, and no address but the one that names SVG.
#include "tools/plot/report.h"

#include <string_view>

#include "tools/plot/style.h"
#include "tools/plot/svg.h"

namespace vecserve::plot {
namespace {

constexpr std::string_view kPageStyle = R"css(
body.vp{margin:0 auto;max-width:60rem;padding:2rem 1.25rem 4rem;background:var(--bg);
color:var(--ink);font:16px/1.55 system-ui,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
.vp h1{font-size:1.9rem;line-height:1.2;margin:0 0 .4rem}
.vp h2{font-size:1.3rem;margin:3rem 0 .5rem;padding-top:.8rem;border-top:1px solid var(--grid)}
.vp h3{font-size:1.02rem;margin:0 0 .15rem}
.vp p{margin:.5rem 0;max-width:46rem}
.vp .lead{font-size:1.12rem}
.vp small,.vp .soft-text,.vp dt,.vp figcaption p{color:var(--soft)}
.vp a{color:var(--c0)}
.vp nav ol{margin:1rem 0;padding-left:1.3rem}
.vp dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1.2rem;font-size:.9rem}
.vp dd{margin:0;overflow-wrap:anywhere}
.vp figure{margin:1.8rem 0}
.vp figcaption p{margin:.1rem 0 .5rem;font-size:.9rem}
.vp figure svg{display:block;width:100%;height:auto}
.vp .scroll{overflow-x:auto}
.vp table{border-collapse:collapse;margin:1rem 0;font-size:.9rem;font-variant-numeric:tabular-nums}
.vp caption{text-align:left;font-weight:600;padding-bottom:.3rem}
.vp th,.vp td{padding:.3rem .9rem .3rem 0;text-align:right;border-bottom:1px solid var(--grid)}
.vp th{color:var(--soft);font-weight:500}
.vp th:first-child,.vp td:first-child{text-align:left}
.vp td{white-space:nowrap}
)css";

std::string anchor_of(std::size_t index) {
  return "part-" + std::to_string(index + 1);
}

void append_table(const Table& table, std::string& out) {
  out += "<div class=\"scroll\"><table>";
  if (!table.caption.empty()) out += "<caption>" + escaped(table.caption) + "</caption>";
  out += "<thead><tr>";
  for (const std::string& column : table.columns) out += "<th>" + escaped(column) + "</th>";
  out += "</tr></thead>\n<tbody>\n";
  for (const auto& row : table.rows) {
    out += "<tr>";
    for (const std::string& cell : row) out += "<td>" + escaped(cell) + "</td>";
    out += "</tr>\n";
  }
  out += "</tbody></table></div>\n";
}

void append_figure(const Figure& figure, std::string& out) {
  out += "<figure id=\"" + escaped(figure.name) + "\"><figcaption><h3>" + escaped(figure.title) +
         "</h3><p>" + escaped(figure.subtitle) + "</p></figcaption>\n" +
         to_svg(figure, SvgPlace::page);
  if (!figure.note.empty()) out += "<small>" + escaped(figure.note) + "</small>";
  out += "</figure>\n";
}

}  // namespace

std::string to_html(const Report& report) {
  std::string out = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n";
  out += "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>" +
         escaped(report.title) + "</title>\n<style>" + std::string(kStyle) +
         std::string(kPageStyle) + "</style></head>\n<body class=\"vp\">\n";
  out += "<h1>" + escaped(report.title) + "</h1>\n<p class=\"lead\">" + escaped(report.lead) +
         "</p>\n<dl>";
  for (const auto& [name, value] : report.facts) {
    out += "<dt>" + escaped(name) + "</dt><dd>" + escaped(value) + "</dd>\n";
  }
  out += "</dl>\n<nav><ol>";
  for (std::size_t i = 0; i < report.sections.size(); ++i) {
    out += "<li><a href=\"#" + anchor_of(i) + "\">" + escaped(report.sections[i].heading) +
           "</a></li>";
  }
  out += "</ol></nav>\n";
  for (std::size_t i = 0; i < report.sections.size(); ++i) {
    const Section& section = report.sections[i];
    out += "<section id=\"" + anchor_of(i) + "\"><h2>" + escaped(section.heading) + "</h2>\n";
    for (const std::string& text : section.paragraphs) out += "<p>" + escaped(text) + "</p>\n";
    for (const Table& table : section.tables) append_table(table, out);
    for (const Figure& figure : section.figures) append_figure(figure, out);
    out += "</section>\n";
  }
  return out + "</body></html>\n";
}

}  // namespace vecserve::plot
