// The colours and the type of every drawn view, once, as CSS: light by default, dark where the
// reader's system asks for it. Shared by svg.cc (a file of its own) and report.cc (a page).
// Constants only. Always holds: lines are told apart by lightness as well as by hue, text meets a
// contrast of 4.5 against its ground in both schemes, and no rule reaches outside class "vp".
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace vecserve::plot {

inline constexpr std::size_t kColorCount = 6;
inline constexpr std::size_t kHeatCount = 8;

inline constexpr std::string_view kStyle = R"css(
.vp{--bg:#ffffff;--ink:#1b2430;--soft:#5a6675;--grid:#e4e9ef;--edge:#9aa6b4;
--c0:#2458c5;--c1:#c2500a;--c2:#0b7d72;--c3:#8a2fb8;--c4:#6b7280;--c5:#a3123f;
--h1:#e1ecf9;--h2:#c4d9f2;--h3:#a0c1e8;--h4:#78a4da;--h5:#5185c9;
--h6:#3366b1;--h7:#1e4a90;--h8:#11316a;
color-scheme:light dark}
@media (prefers-color-scheme:dark){.vp{--bg:#12171e;--ink:#e6ebf2;--soft:#9dabbc;--grid:#27313d;
--edge:#5b6878;--c0:#7fb0ff;--c1:#ffa35c;--c2:#4fd6c4;--c3:#d59bf6;--c4:#a5afbc;--c5:#ff8fab;
--h1:#17283f;--h2:#1d385c;--h3:#254b7b;--h4:#2f619d;--h5:#427cbd;
--h6:#629ad7;--h7:#90bae8;--h8:#cce1f8}}
svg.vp{background:var(--bg);font:12px/1.3 system-ui,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
.vp text{fill:var(--ink);font-variant-numeric:tabular-nums}
.vp .title{font-size:16px;font-weight:600}
.vp .soft{fill:var(--soft)}
.vp .grid{stroke:var(--grid);stroke-width:1;fill:none}
.vp .edge{stroke:var(--edge);stroke-width:1;fill:none}
.vp .line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.vp .dash{stroke-dasharray:5 5}
.vp .band{opacity:.18;stroke:none}
.vp .rule{stroke:var(--soft);stroke-width:1.2;stroke-dasharray:2 4;fill:none}
.vp .halo{paint-order:stroke;stroke:var(--bg);stroke-width:4px;stroke-linejoin:round}
.vp .s0{stroke:var(--c0)}.vp .s1{stroke:var(--c1)}.vp .s2{stroke:var(--c2)}
.vp .s3{stroke:var(--c3)}.vp .s4{stroke:var(--c4)}.vp .s5{stroke:var(--c5)}
.vp .f0{fill:var(--c0)}.vp .f1{fill:var(--c1)}.vp .f2{fill:var(--c2)}
.vp .f3{fill:var(--c3)}.vp .f4{fill:var(--c4)}.vp .f5{fill:var(--c5)}
.vp .h1{fill:var(--h1)}.vp .h2{fill:var(--h2)}.vp .h3{fill:var(--h3)}.vp .h4{fill:var(--h4)}
.vp .h5{fill:var(--h5)}.vp .h6{fill:var(--h6)}.vp .h7{fill:var(--h7)}.vp .h8{fill:var(--h8)}
)css";

}  // namespace vecserve::plot
