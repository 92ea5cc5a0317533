"""Files in published layouts, as the doctor sees them."""

from mpp.doctor.examine import examine


def test_published_layouts_will_train_as_they_are(layouts, pdebench_file):
    for name in layouts.LAYOUTS:
        report = examine(pdebench_file(name))
        assert report.verdict, name
        assert report.format == "pdebench"
        assert not report.needs_mapping
        assert [axis.boundary for axis in report.axes if not axis.boundary] == []


def test_a_file_in_the_format_of_the_well(well_file):
    report = examine(well_file())
    assert report.verdict
    assert report.format == "thewell"
    assert [axis.boundary for axis in report.axes] == ["periodic", "wall open"]
