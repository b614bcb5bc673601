"""The `caldav` library of Python as a client of a calendar server.

    caldav_client.py URL CA

It makes a calendar, writes, finds, changes and removes events, and takes the calendar away.
"""

import datetime
import logging
import sys

import caldav

DAY = datetime.datetime(2030, 1, 15, 12, tzinfo=datetime.timezone.utc)


def find(calendar, **more):
    found = calendar.search(event=True, start=DAY - datetime.timedelta(days=1), end=DAY + datetime.timedelta(days=1), **more)
    return sorted(str(event.icalendar_component["summary"]) for event in found)


def main():
    logging.disable(logging.WARNING)
    url, ca = sys.argv[1:]
    with caldav.DAVClient(url=url, username="ann", password="kitchen", ssl_verify_cert=ca) as client:
        principal = client.principal()
        calendar = principal.make_calendar(name="Küche", cal_id="kitchen")
        assert [one.get_display_name() for one in principal.calendars()] == ["Küche"]
        for hour in range(3):
            start = DAY + datetime.timedelta(hours=hour)
            calendar.save_event(dtstart=start, dtend=start + datetime.timedelta(minutes=30), summary=f"meal {hour}")
        assert find(calendar) == ["meal 0", "meal 1", "meal 2"], find(calendar)
        token = calendar.objects_by_sync_token().sync_token
        changed = next(event for event in calendar.events() if event.icalendar_component["summary"] == "meal 1")
        changed.icalendar_component["summary"] = "feast"
        changed.save()
        assert find(calendar) == ["feast", "meal 0", "meal 2"], find(calendar)
        since = list(calendar.objects_by_sync_token(token))
        assert len(since) == 1, since
        changed.delete()
        assert find(calendar) == ["meal 0", "meal 2"], find(calendar)
        calendar.delete()
        assert principal.calendars() == [], principal.calendars()
    print("calendar: ok")


main()
