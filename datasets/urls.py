from django.urls import path

from datasets import audit_views, views

app_name = "datasets"
urlpatterns = [
    path("log/", audit_views.site_log, name="site-log"),
    path("log.csv", audit_views.site_log_csv, name="site-log-csv"),
    path("projects/<slug:project>/log/", audit_views.project_log, name="log"),
    path("projects/<slug:project>/log.csv", audit_views.project_log_csv, name="log-csv"),
    path("projects/<slug:project>/pairs/", views.pairs, name="pairs"),
    path("projects/<slug:project>/pairs/import/", views.import_pairs, name="import"),
    path("projects/<slug:project>/pairs/import/manifest.csv", views.sample_manifest, name="sample-manifest"),
    path("projects/<slug:project>/pairs/changes/", views.pair_changes, name="pair-changes"),
    path("projects/<slug:project>/pairs/<int:pair>/", views.pair, name="pair"),
    path("projects/<slug:project>/pairs/<int:pair>/change/", views.pair_change, name="pair-change"),
    path("projects/<slug:project>/pairs/<int:pair>/remove/", views.pair_remove, name="pair-remove"),
    path("projects/<slug:project>/sources/", views.sources, name="sources"),
    path("projects/<slug:project>/groups/", views.groups, name="groups"),
    path("projects/<slug:project>/groups/compare/", views.groups_compare, name="groups-compare"),
    path("projects/<slug:project>/groups/merge/", views.groups_merge, name="groups-merge"),
    path("projects/<slug:project>/pictures/<int:image>/", views.picture, name="picture"),
    path("projects/<slug:project>/pictures/<int:image>/remove/", views.picture_remove, name="picture-remove"),
    path("projects/<slug:project>/removals/<uuid:removal>/", views.removal, name="removal"),
    path("projects/<slug:project>/releases/<slug:slug>/<int:version>/", views.release, name="release"),
    path("projects/<slug:project>/releases/<slug:slug>/<int:version>/export/", views.release_export, name="export"),
    path(
        "projects/<slug:project>/releases/<slug:slug>/<int:version>/download/", views.release_download, name="download"
    ),
    path("projects/<slug:project>/releases/<slug:slug>/<int:version>/key/", views.release_key, name="release-key"),
    path("projects/<slug:project>/releases/<slug:slug>/<int:version>/retract/", views.release_retract, name="retract"),
    path("jobs/<uuid:job>/", views.job, name="job"),
    path("jobs/<uuid:job>/cancel/", views.job_cancel, name="job-cancel"),
    path("jobs/<uuid:job>/discard/", views.job_discard, name="job-discard"),
    path("jobs/<uuid:job>/import/", views.import_previewed, name="import-previewed"),
    path("jobs/<uuid:job>/report/", views.job_report, name="job-report"),
    path("jobs/<uuid:job>/retry/", views.job_retry, name="job-retry"),
]
