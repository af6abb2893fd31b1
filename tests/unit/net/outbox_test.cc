// The outbox: order, counting, its bound and that of all together, closing. One thread, as what
// runs on several is one lock around each call. Always holds: after each case the total is back at
// zero.
#include "net/outbox.h"

#include <catch2/catch.hpp>

#include "net/limits.h"

namespace vecserve::net {
namespace {

struct Fixture {
  explicit Fixture(std::size_t bytes_max = 1'000, std::size_t total_max = 1'000'000'000)
      : total(total_max), box(bytes_max, total, [this] { ++wakes; }) {}
  int wakes = 0;
  ByteTotal total;
  Outbox box;
  std::string out;
};

TEST_CASE("outbox: frames come out in order, and one wake stands for many", "[outbox]") {
  Fixture fixture;
  CHECK_FALSE(fixture.box.take(fixture.out));
  fixture.box.put("one ");
  fixture.box.put("two");
  CHECK(fixture.wakes == 1);
  CHECK(fixture.box.bytes() == 7);
  REQUIRE(fixture.box.take(fixture.out));
  CHECK(fixture.out == "one two");
  CHECK(fixture.box.bytes() == 7);  // taken is not sent
  fixture.box.put("three");
  CHECK(fixture.wakes == 2);
  fixture.box.sent(7);
  CHECK(fixture.box.bytes() == 5);
  CHECK(fixture.total.held() == 5);
  REQUIRE(fixture.box.take(fixture.out));
  fixture.box.sent(5);
  CHECK(fixture.total.held() == 0);
  CHECK_FALSE(fixture.box.take(fixture.out));
  CHECK(fixture.out.empty());
}

TEST_CASE("outbox: who gives many replies wakes all writers at the end", "[outbox]") {
  Fixture first, second;
  {
    const WakesTogether together;
    first.box.put("one ");
    second.box.put("another");
    {
      const WakesTogether inner;
      first.box.put("two");
    }
    CHECK(first.wakes == 0);
    CHECK(second.wakes == 0);
    first.box.fail();  // an end does not wait
    CHECK(first.wakes == 1);
  }
  CHECK(first.wakes == 2);
  CHECK(second.wakes == 1);
  second.box.put("more");  // not taken yet: no wake is due
  CHECK(second.wakes == 1);
  for (Fixture* fixture : {&first, &second}) {
    REQUIRE(fixture->box.take(fixture->out));
    fixture->box.sent(fixture->out.size());
  }
  first.box.put("late");
  second.box.put("late");
  CHECK(second.wakes == 2);
  second.box.close();
}

TEST_CASE("outbox: it takes at most one frame past its bound, then overflows", "[outbox]") {
  Fixture fixture(10);
  fixture.box.put(std::string(10, 'a'));
  fixture.box.put(std::string(100, 'b'));
  CHECK_FALSE(fixture.box.overflowed());
  CHECK(fixture.box.bytes() == 110);
  fixture.box.put("c");
  CHECK(fixture.box.overflowed());
  CHECK(fixture.wakes == 2);
  fixture.box.put("d");
  CHECK(fixture.box.bytes() == 110);
}

TEST_CASE("outbox: when all hold too much, those go that hold more than a little", "[outbox]") {
  ByteTotal total(100);
  Outbox small(1 << 30, total, [] {});
  Outbox large(1 << 30, total, [] {});
  small.put("few");
  large.put(std::string(limits::outbox_bytes_soft + 1, 'x'));
  REQUIRE(total.exceeded());
  small.put("more");
  CHECK_FALSE(small.overflowed());
  large.put("more");
  CHECK(large.overflowed());
}

TEST_CASE("outbox: closing gives back what waits, and takes nothing more", "[outbox]") {
  Fixture fixture;
  fixture.box.put("taken");
  REQUIRE(fixture.box.take(fixture.out));
  fixture.box.put("waiting");
  fixture.box.close();
  CHECK(fixture.box.bytes() == 5);
  fixture.box.put("late");
  CHECK(fixture.box.bytes() == 5);
  CHECK_FALSE(fixture.box.take(fixture.out));
}

TEST_CASE("outbox: what is left when it dies is given back", "[outbox]") {
  ByteTotal total(100);
  {
    Outbox box(1'000, total, [] {});
    box.put("something");
    CHECK(total.held() == 9);
  }
  CHECK(total.held() == 0);
}

TEST_CASE("outbox: a failure counts as overflow", "[outbox]") {
  Fixture fixture;
  fixture.box.fail();
  CHECK(fixture.box.overflowed());
  CHECK(fixture.wakes == 1);
}

}  // namespace
}  // namespace vecserve::net
