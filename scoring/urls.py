from django.urls import path

from scoring import steering, views

app_name = "scoring"
urlpatterns = [
    path("projects/<slug:project>/runs/", views.runs, name="runs"),
    path("runs/<uuid:run>/", views.run, name="run"),
    path("projects/<slug:project>/releases/<slug:slug>/<int:version>/train/", steering.train, name="train"),
    path("runs/<uuid:run>/cancel/", steering.cancel, name="cancel"),
    path("runs/<uuid:run>/again/", steering.again, name="again"),
    path("runs/<uuid:run>/go-on/", steering.go_on, name="go-on"),
    path("runs/<uuid:run>/compare/", steering.compare, name="compare"),
    path("runs/<uuid:run>/use/", steering.use, name="use"),
    path("runs/<uuid:run>/out-of-use/", steering.out_of_use, name="out-of-use"),
    path("runs/<uuid:run>/delete/", steering.delete, name="delete"),
    path("runs/<uuid:run>/comparison/", views.comparison, name="comparison"),
    path("runs/<uuid:run>/predictions.csv", views.predictions, name="predictions"),
]
